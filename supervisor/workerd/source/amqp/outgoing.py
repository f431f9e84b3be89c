"""What leaves for another queue, and what becomes of it while that queue takes nothing."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workerd.transport.loop import Cancelable, Loop

if TYPE_CHECKING:
    from amqp.basic_message import Message

logger = logging.getLogger(__name__)

RETRY = 4.0
"""Seconds until a queue that takes nothing is tried again."""

Declare = Callable[[Any, str], object]
"""Makes sure that a queue exists, given the connection and the queue's name."""


@dataclass(frozen=True, slots=True)
class Route:
    """Another way than the default exchange to the queue.

    Nothing is declared for it, and a message that takes it is not published again when the broker does not
    confirm it, or does not know where to: ``refused`` is told.
    """

    exchange: str
    key: str
    refused: Callable[[], object]


@dataclass(slots=True, eq=False)
class Copy:
    """One message; ``then`` is told once the broker has it for good."""

    queue: str
    declare: Declare
    message: Message
    then: Callable[[], object]
    route: Route | None = None
    returned: bool = False

    @property
    def where(self) -> tuple[str, str]:
        """Exchange and routing key."""
        return ("", self.queue) if self.route is None else (self.route.exchange, self.route.key)

    def is_for(self, queue: str) -> bool:
        """True when it goes straight to ``queue``."""
        return self.route is None and self.queue == queue


class Apart:
    """Copies for queues that take nothing now: they hold up no others.

    Each queue is told once when that begins, and once when it takes something again.  ``again`` gets what
    shall be tried once more.
    """

    def __init__(self, loop: Loop, again: Callable[[list[Copy]], object]) -> None:
        self._loop, self._again = loop, again
        self._copies: list[Copy] = []
        self._told: set[str] = set()
        self._timer: Cancelable | None = None

    def put(self, queue: str, copies: Iterable[Copy], reason: str) -> None:
        """``queue`` does not take these."""
        if queue not in self._told:
            self._told.add(queue)
            logger.error("Nothing can be put into queue %s: %s; trying again", queue, reason.rstrip("."))
        self._copies += copies
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
        copies, self._copies = self._copies, []
        self._again(copies)
