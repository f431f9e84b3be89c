"""Descriptors: as many for the supervisor as it may have, and for what it starts as many as it was given.

Each child costs the supervisor six of them, so that the usual soft limit of 1024 would end at 160 children.
That limit is so low for programs that use ``select``, which tasks may do: their processes get it back.

Units: counts of descriptors; -1 is no limit.
"""

from __future__ import annotations

import resource
from contextlib import suppress


class OpenFiles:
    """The soft limit that this process was started with, ``given``, and what it makes of it."""

    def __init__(self) -> None:
        self.given, self._hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    def raise_limit(self) -> None:
        """Up to the hard limit, or no further than before where the kernel does not let us."""
        self._set(self._hard)

    def put_back(self) -> None:
        """For a process image that shall find it as this one has.  May be called twice."""
        self._set(self.given)

    def _set(self, soft: int) -> None:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, self._hard))
