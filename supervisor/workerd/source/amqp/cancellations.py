"""Consumers that the broker itself has ended: a queue was deleted, or its leader has moved or is down.

The queue is declared and consumed again at once; where that is refused, again and again, while the other
queues go on.  Each queue's trouble is told once in the log when it begins, and once when it is over.

Units: seconds.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable

from amqp.exceptions import ChannelError

from workerd.transport.loop import Cancelable, Loop

logger = logging.getLogger(__name__)

RETRY = 2.0


class Cancellations:
    """``revive`` declares a queue and lets it be consumed; py-amqp's ChannelError is a refusal."""

    def __init__(self, loop: Loop, revive: Callable[[str], object]) -> None:
        self._loop, self._revive = loop, revive
        self.counts: Counter[str] = Counter()
        """How often the broker has cancelled our consumer, by queue."""
        self.refused: dict[str, str] = {}
        """Queues that are not consumed now, and why."""
        self._retry: Cancelable | None = None

    def cancelled(self, queue: str) -> None:
        """Raises what py-amqp raises for a lost link."""
        self.counts[queue] += 1
        logger.warning("RabbitMQ has ended the consuming of queue %s: declaring it again", queue)
        self._attempt(queue)

    def close(self) -> None:
        """Try no more.  May be called twice."""
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None

    def retry(self) -> None:
        """Try those again that were refused.  Raises what py-amqp raises for a lost link."""
        self._retry = None
        for queue in list(self.refused):
            self._attempt(queue)

    def _attempt(self, queue: str) -> None:
        try:
            self._revive(queue)
        except ChannelError as exc:
            if queue not in self.refused:
                logger.error("Queue %s is not consumed: %s; trying again", queue, exc)
            self.refused[queue] = str(exc)
            if self._retry is None:
                self._retry = self._loop.call_later(RETRY, self.retry)
            return
        self.refused.pop(queue, None)
        logger.info("Queue %s is consumed again", queue)
