"""Commands that belong together: sent in one write, or answered to one callback."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any


class Gathering(AbstractContextManager[None]):
    """Calls ``flush`` at the end of the outermost of its ``with`` blocks; ``depth`` of them are open.

    A generator with ``contextmanager`` would do the same with three times the calls, for every message that
    comes to an idle node.
    """

    __slots__ = ("_flush", "depth")

    def __init__(self, flush: Callable[[], object]) -> None:
        self.depth, self._flush = 0, flush

    def __enter__(self) -> None:
        self.depth += 1

    def __exit__(self, *exc: object) -> None:
        self.depth -= 1
        if not self.depth:
            self._flush()


class Group:
    """Commands sent together, and the replies that have come."""

    __slots__ = ("replies", "size", "then")

    def __init__(self, size: int, then: Callable[[list[Any]], object] | None) -> None:
        self.size, self.then = size, then
        self.replies: list[Any] = []
