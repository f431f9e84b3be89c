"""Names of callbacks, for logs."""

from __future__ import annotations

import functools
from typing import Any

from vine import promise


def callback_name(callback: Any) -> str:
    """``module.qualified_name`` of what a callback will call in the end."""
    seen = unwrapped(callback)
    name = getattr(seen, "__qualname__", None)
    return f"{seen.__module__}.{name}" if name else repr(seen)


def unwrapped(callback: Any) -> Any:
    """What a callback will call in the end."""
    seen = callback
    for _ in range(10):  # wrappers in wrappers; a loop of them must not hang the logger
        if hasattr(seen, "__wrapped__"):
            seen = seen.__wrapped__
        elif isinstance(seen, functools.partial):
            seen = seen.func
        elif isinstance(seen, promise):
            seen = seen.fun
        else:
            break
    return seen
