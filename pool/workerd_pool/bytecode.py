"""Bytecode that cannot be told from that of a newer source, removed from Python's cache.

Python takes a cached module for current when the source has the size and the second of change that the
cache names.  What was compiled in the second of a change looks the same after another change in that
second, and a reload would serve old code and call it new.

Units:  seconds of Unix time.
Source: git does the same with files that are as young as its index ("racily clean").
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import ModuleType

FRESH = 2.0
"""A source that was changed longer ago than this cannot get the same second again."""


def forget_fresh(modules: Iterable[ModuleType] | None = None, now: float | None = None) -> None:
    """Remove the cache of each imported module whose source has changed within the last ``FRESH`` seconds."""
    horizon = (time.time() if now is None else now) - FRESH
    for module in list(sys.modules.values()) if modules is None else modules:
        # An instance in sys.modules may answer any attribute with anything.
        source, cached = getattr(module, "__file__", None), getattr(module, "__cached__", None)
        if isinstance(source, str) and isinstance(cached, str) and source != cached:
            # Gone, or another user's: then it is not ours to remove.
            with suppress(OSError):
                # Texts as they are: this is asked of hundreds of modules at each start.
                if os.stat(source).st_mtime >= horizon:  # noqa: PTH116
                    Path(cached).unlink(missing_ok=True)
