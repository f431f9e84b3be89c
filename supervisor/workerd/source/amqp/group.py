"""One group of queues on RabbitMQ: a channel of its own, so that its prefetch limit is its own too.

The broker counts what is unsettled for each channel or consumer, never for a connection: one group that is
full holds up no other, over the same connection.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable
from typing import Any

from amqp import spec

from workerd.source.amqp.intake import Intake
from workerd.source.base import Delivery

Tag = tuple[str, int]
"""Random name of the channel, and the broker's delivery tag."""


class Group:
    """``ask`` asks for a round: ``work``, then ``take``.  It raises what py-amqp raises."""

    def __init__(self, ask: Callable[[], object]) -> None:
        self.name = secrets.token_hex(4)
        self.room = 0
        self.intake: Intake | None = None
        self.acks: set[int] = set()
        self.nacks: set[int] = set()
        self._ask, self._draining = ask, False
        self._channel: Any = None
        self._inbox: deque[tuple[str, Any]] = deque()  # came, and there was no room yet
        self._held: dict[int, Any] = {}  # given to the consumer and not settled, lowest number first

    @property
    def pending(self) -> int:
        return len(self.acks) + len(self.nacks)

    @property
    def held(self) -> int:
        """Messages that the consumer has and has not settled."""
        return len(self._held)

    def open(
        self,
        channel: Any,
        *,
        shared_limit: bool,
        declare: Callable[[str], bool],
        on_cancelled: Callable[[str], object],
    ) -> None:
        """Consume over ``channel`` from now on."""
        channel.auto_decode = False
        self._channel = channel
        self.intake = Intake(
            channel,
            shared_limit=shared_limit,
            declare=declare,
            on_message=self._came,
            on_cancelled=on_cancelled,
        )

    def close(self) -> None:
        """Leave the channel.  May be called twice."""
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()

    def forget(self) -> None:
        """The channel is gone with its connection."""
        self._channel = None

    def number(self, delivery: Delivery) -> int | None:
        """Its number on this channel; None for what another one delivered, or what is settled."""
        name, number = delivery.tag
        return number if name == self.name and number in self._held else None

    def message(self, number: int) -> Any:
        """What the broker sent under ``number``."""
        return self._held[number]

    def drain(self) -> None:
        """Consume no more; what there was no room for must not wait here until the last run has ended."""
        self._draining, self.room = True, 0

    def work(self) -> None:
        """Tell the broker what has ended, and how much more may come."""
        if self.intake is None or self._channel is None:
            return
        self.intake.allow(0 if self._draining else len(self._held) - self.pending + self.room)
        if self._draining:
            for _, message in reversed(self._inbox):
                self._return(message.delivery_tag)
            self._inbox.clear()
        for number in sorted(self.nacks, reverse=True):
            self._return(number)
            del self._held[number]
        self.nacks.clear()
        self._acknowledge()

    def _return(self, number: int) -> None:
        self._channel.send_method(spec.Basic.Nack, "Lbb", (number, False, True))

    def take(self) -> list[tuple[str, Any]]:
        """(queue, message) of what there is room for; the consumer has it from now on."""
        taken = []
        while self._inbox and self.room > 0:
            queue, message = self._inbox.popleft()
            self._held[message.delivery_tag] = message
            self.room -= 1
            taken.append((queue, message))
        return taken

    def _came(self, queue: str, message: Any) -> None:
        self._inbox.append((queue, message))
        self._ask()

    def _acknowledge(self) -> None:
        """One frame for all up to the first that goes on, one for each of the others."""
        first = next((number for number in self._held if number not in self.acks), None)
        run = {number for number in self.acks if first is None or number < first}
        if run:
            self._channel.basic_ack(max(run), multiple=True)
        for number in self.acks - run:
            self._channel.basic_ack(number)
        for number in self.acks:
            del self._held[number]
        self.acks.clear()
