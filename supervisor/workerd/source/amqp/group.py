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

from workerd.source.amqp.intake import Intake

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
        self._channel: TaskChannel | None = None
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

    def holds(self, number: int) -> bool:
        """Whether the consumer has this one, and has not settled it."""
        return number in self._held

    def message(self, number: int) -> Any:
        """What the broker sent under ``number``."""
        return self._held[number]

    def drain(self) -> None:
        """Consume no more; what there was no room for must not wait here until the last run has ended."""
        self._draining, self.room = True, 0

    def work(self) -> None:
        """Tell the broker what has ended, and how much more may come, in one write."""
        channel = self._channel
        if self.intake is None or channel is None:
            return
        if self.intake.takes_turns:
            for number in self.acks | self.nacks:
                self.intake.settled(self._held[number])
        if self._draining:
            self.intake.pause()
        else:
            self.intake.allow(len(self._held) - self.pending, self.room, self.waiting)
        self._return_surplus(channel)
        for number in sorted(self.nacks, reverse=True):
            channel.nack(number)
            del self._held[number]
        self.nacks.clear()
        self._acknowledge(channel)
        channel.flush()

    def _return_surplus(self, channel: TaskChannel) -> None:
        """The last to come is the first to go back, so that they lie in their order again."""
        overdue = self._clock.now() - PATIENCE
        while self._inbox and (self._draining or (self.room <= 0 and self._inbox[0][2] <= overdue)):
            _, message, _ = self._inbox.pop()
            channel.nack(message.delivery_tag)

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

    def _acknowledge(self, channel: TaskChannel) -> None:
        """One frame for all up to the first that goes on, one for each of the others."""
        acks, last = self.acks, 0
        for number in self._held:
            if number not in acks:
                break
            last = number
        if last:
            channel.ack(last, multiple=True)
        for number in acks:
            if number > last:
                channel.ack(number)
                self.frames += 1
            del self._held[number]
        self.frames += bool(last)
        self.acked += len(acks)
        acks.clear()
