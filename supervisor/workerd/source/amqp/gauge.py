"""How many messages wait in queues, asked of RabbitMQ without waiting for the answer.

A passive declaration tells the number that no consumer has.  It closes its channel when the queue does not
exist, so there is a channel for this alone, which is opened again with the next question.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from amqp import Channel, spec

Then = Callable[[dict[str, int]], object]


class Gauge(Channel):  # type: ignore[misc]  # py-amqp has no types
    """Questions are answered in their order; the channel opens with the first, and nothing here waits."""

    def __init__(self, connection: Any) -> None:
        super().__init__(connection)
        self._asked: deque[_Question] = deque()
        self._opening = False

    def ask(self, queues: Sequence[str], then: Then) -> None:
        """``then`` gets the number of each queue that exists.  Raises what py-amqp raises."""
        if not self._opening:
            self._opening = True
            # The broker works off a channel's methods in their order: no need to wait for its OpenOk.
            self.send_method(spec.Channel.Open, "s", ("",))
        self._asked.append(_Question(queues, then))
        for queue in queues:
            self.send_method(spec.Queue.Declare, "BsbbbbbF", (0, queue, True, False, False, False, False, {}))

    def _setup_listeners(self) -> None:
        super()._setup_listeners()
        self._callbacks[spec.Queue.DeclareOk] = self._on_declared

    def _on_declared(self, queue: str, waiting: int, _consumers: int) -> None:
        question = self._asked[0]
        question.counts[queue] = waiting
        question.left -= 1
        if not question.left:
            self._asked.popleft().tell()

    def _on_close(self, *_why: object) -> None:
        """A queue is gone; the broker answers nothing more that was asked over this channel.

        py-amqp would open it again here, wait for that, and raise.
        """
        self.send_method(spec.Channel.CloseOk)
        self.is_open = self._opening = False
        unanswered, self._asked = self._asked, deque()
        for question in unanswered:
            question.tell()


class _Question:
    def __init__(self, queues: Sequence[str], then: Then) -> None:
        self.then, self.left = then, len(queues)
        self.counts: dict[str, int] = {}

    def tell(self) -> None:
        self.then(self.counts)
