"""What becomes of that which leaves for a queue while the queue takes nothing.

Units: seconds.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from workerd.transport.loop import Cancelable, Loop

logger = logging.getLogger(__name__)

RETRY = 4.0
"""Until a queue that takes nothing is tried again."""

T = TypeVar("T")


class Apart(Generic[T]):
    """What is for queues that take nothing now: it holds up nothing else.

    Each queue is told once when that begins, and once when it takes something again.  ``again`` gets what
    shall be tried once more.
    """

    def __init__(self, loop: Loop, again: Callable[[list[T]], object]) -> None:
        self._loop, self._again = loop, again
        self._kept: list[T] = []
        self._told: set[str] = set()
        self._timer: Cancelable | None = None

    def put(self, queue: str, kept: Iterable[T], reason: str) -> None:
        """``queue`` does not take these."""
        if queue not in self._told:
            self._told.add(queue)
            logger.error("Nothing can be put into queue %s: %s; trying again", queue, reason.rstrip("."))
        self._kept += kept
        if self._timer is None:
            self._timer = self._loop.call_later(RETRY, self._try_again)

    def taken(self, queue: str) -> None:
        """It has taken a message."""
        if queue in self._told:
            self._told.discard(queue)
            logger.info("Messages can be put into queue %s again", queue)

    def stop(self) -> None:
        """Try no more.  May be called twice."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _try_again(self) -> None:
        self._timer = None
        kept, self._kept = self._kept, []
        self._again(kept)
