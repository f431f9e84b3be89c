"""One group of queues on RabbitMQ: a channel of its own, so that its prefetch limit is its own too.

The broker counts what is unsettled for each channel or consumer, never for a connection: one group that is
full holds up no other, over the same connection.  What comes without room waits here for a moment; after
``PATIENCE`` it goes back, so that others may run it.

Units: seconds of the monotonic clock.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from amqp import spec

from workerd.source.amqp.intake import Intake
from workerd.source.base import Delivery

if TYPE_CHECKING:
    from workerd.clock import Clock
    from workerd.source.amqp.channel import TaskChannel

PATIENCE = 10.0
"""How long a message for which there is no room may wait here."""

Tag = tuple[str, int]
"""Random name of the channel, and the broker's delivery tag."""


class Group:
    """``ask`` asks for a round: ``work``, then ``take``.  It raises what py-amqp raises."""

    def __init__(self, ask: Callable[[], object], clock: Clock) -> None:
        self.name = secrets.token_hex(4)
        self.room = 0
        self.intake: Intake | None = None
        self.acks: set[int] = set()
        self.nacks: set[int] = set()
        self.acked = self.frames = 0
        """Messages that were acknowledged, and the frames that it took."""
        self._ask, self._clock, self._draining = ask, clock, False
        self._channel: Any = None
        self._inbox: deque[tuple[str, Any, float]] = deque()  # came at, and there was no room yet
        self._held: dict[int, Any] = {}  # given to the consumer and not settled, lowest number first

    @property
    def pending(self) -> int:
        return len(self.acks) + len(self.nacks)

    @property
    def held(self) -> int:
        """Messages that the consumer has and has not settled."""
        return len(self._held)

    @property
    def waiting(self) -> int:
        """Messages that have come without room."""
        return len(self._inbox)

    def open(
        self,
        channel: TaskChannel,
        *,
        shared_limit: bool,
        declare: Callable[[str], bool],
        on_cancelled: Callable[[str], object],
    ) -> None:
        """Consume over ``channel`` from now on."""
        self._channel = channel
        self.intake = Intake(
            channel,
            shared_limit=shared_limit,
            declare=declare,
            on_message=self._came,
            on_cancelled=on_cancelled,
            clock=self._clock,
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
        for number in self.acks | self.nacks:
            self.intake.settled(self._held[number])
        if self._draining:
            self.intake.pause()
        else:
            self.intake.allow(len(self._held) - self.pending, self.room, self.waiting)
        self._return_surplus()
        for number in sorted(self.nacks, reverse=True):
            self._return(number)
            del self._held[number]
        self.nacks.clear()
        self._acknowledge()

    def _return_surplus(self) -> None:
        """The last to come is the first to go back, so that they lie in their order again."""
        overdue = self._clock.now() - PATIENCE
        while self._inbox and (self._draining or (self.room <= 0 and self._inbox[0][2] <= overdue)):
            _, message, _ = self._inbox.pop()
            self._return(message.delivery_tag)

    def _return(self, number: int) -> None:
        self._channel.send_method(spec.Basic.Nack, "Lbb", (number, False, True))

    def take(self) -> list[tuple[str, Any, float]]:
        """(queue, message, when it came) of what there is room for; the consumer has it from now on."""
        taken = []
        while self._inbox and self.room > 0:
            queue, message, came = self._inbox.popleft()
            self._held[message.delivery_tag] = message
            self.room -= 1
            taken.append((queue, message, came))
        return taken

    def _came(self, queue: str, message: Any) -> None:
        """None is the answer of a queue that was empty."""
        if message is not None:
            self._inbox.append((queue, message, self._clock.now()))
        self._ask()

    def _acknowledge(self) -> None:
        """One frame for all up to the first that goes on, one for each of the others."""
        first = next((number for number in self._held if number not in self.acks), None)
        run = {number for number in self.acks if first is None or number < first}
        if run:
            self._channel.basic_ack(max(run), multiple=True)
        for number in self.acks - run:
            self._channel.basic_ack(number)
        self.frames += bool(run) + len(self.acks - run)
        self.acked += len(self.acks)
        for number in self.acks:
            del self._held[number]
        self.acks.clear()
