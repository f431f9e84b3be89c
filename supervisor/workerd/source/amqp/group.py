"""One group of queues on RabbitMQ: a channel of its own, so that its prefetch limit is its own too.

The broker counts what is unsettled for each channel or consumer, never for a connection: one group that is
full holds up no other, over the same connection.  What comes without room waits here for a moment; after
``PATIENCE`` it goes back, so that others may run it.

Where messages that are held for long (a run that takes its time, a turn under a rate limit) keep those behind
them from being acknowledged together, the group *moves*: its consumers end, and once the broker has said so
they begin again on another channel.  What is held stays with its own.  A channel that has nothing left is the
next to move to: it is not closed, because RabbitMQ may lose the last acknowledgements for quorum queues then.

Units: seconds of the monotonic clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from workerd.source.amqp.channel import TaskChannel
from workerd.source.amqp.held import Held
from workerd.source.amqp.intake import Intake
from workerd.source.amqp.moves import Moves

if TYPE_CHECKING:
    from workerd.clock import Clock

PATIENCE = 10.0
"""How long a message for which there is no room may wait here."""


class Group:
    """``ask`` asks for a round: ``work``, then ``take``.  ``channels`` has what each channel that is open
    holds, by its name.  It raises what py-amqp raises."""

    def __init__(self, ask: Callable[[], object], clock: Clock, channels: dict[str, Held]) -> None:
        self.room = 0
        self.intake: Intake | None = None
        self._ask, self._clock, self._draining = ask, clock, False
        self._channels, self._moves = channels, Moves()
        self._open: list[Held] = []  # the last one is consumed over
        self._inbox: deque[tuple[Held, str, Any, float]] = deque()  # came at, and there was no room yet

    @property
    def pending(self) -> int:
        return sum(held.pending for held in self._open)

    @property
    def held(self) -> int:
        """Messages that the consumer has and has not settled."""
        return sum(map(len, self._open))

    @property
    def waiting(self) -> int:
        """Messages that have come without room."""
        return len(self._inbox)

    @property
    def acked(self) -> int:
        """Messages that were acknowledged."""
        return sum(held.acked for held in self._open)

    @property
    def frames(self) -> int:
        """Those that acknowledged them."""
        return sum(held.frames for held in self._open)

    @property
    def channels(self) -> int:
        """Those that hold something, and the one that is consumed over."""
        return 1 + sum(map(bool, self._open[:-1]))

    def open(
        self,
        channel: TaskChannel,
        *,
        shared_limit: bool,
        declare: Callable[[str], bool],
        on_cancelled: Callable[[str], object],
    ) -> None:
        """Consume over ``channel`` from now on."""
        self.intake = Intake(
            channel,
            shared_limit=shared_limit,
            declare=declare,
            on_message=self._came,
            on_cancelled=on_cancelled,
            clock=self._clock,
        )
        self._add(channel)

    def close(self) -> None:
        """Leave the channels.  May be called twice."""
        for held in self._open:
            channel, held.channel = held.channel, None
            if channel is not None:
                channel.close()

    def forget(self) -> None:
        """The channels are gone with their connection."""
        for held in self._open:
            held.channel = None

    def drain(self) -> None:
        """Consume no more; what there was no room for must not wait here until the last run has ended."""
        self._draining, self.room = True, 0

    def work(self) -> None:
        """Tell the broker what has ended, and how much more may come, in one write for each channel."""
        if self.intake is None or self._open[-1].channel is None:
            return
        if self.intake.takes_turns:
            for held in self._open:
                for number in held.acks | held.nacks:
                    self.intake.settled(held.messages[number])
        if self._draining or self._moves.going:
            self.intake.pause()
        else:
            current = self._open[-1]
            self.intake.allow(len(current) - current.pending, self.room, self.waiting)
        self._return_surplus()
        for held in self._open:
            held.settle()
        self._move(self.intake)

    def take(self) -> list[tuple[str, str, Any, float]]:
        """(channel's name, queue, message, when it came) of what there is room for; the consumer has it from
        now on."""
        taken = []
        while self._inbox and self.room > 0:
            held, queue, message, came = self._inbox.popleft()
            held.messages[message.delivery_tag] = message
            self.room -= 1
            taken.append((held.name, queue, message, came))
        if taken and self._moves.going:
            self._ask()
        return taken

    def _came(self, queue: str, message: Any) -> None:
        """None is the answer of a queue that was empty."""
        if message is not None:
            self._inbox.append((self._open[-1], queue, message, self._clock.now()))
        self._ask()

    def _return_surplus(self) -> None:
        """The last to come is the first to go back, so that they lie in their order again."""
        overdue = self._clock.now() - PATIENCE
        while self._inbox and (self._draining or (self.room <= 0 and self._inbox[0][3] <= overdue)):
            held, _, message, _ = self._inbox.pop()
            if held.channel is not None:
                held.channel.nack(message.delivery_tag)

    # -- channels ------------------------------------------------------------------------------

    def _add(self, channel: TaskChannel) -> None:
        channel.on_ended = self._ended
        held = Held(channel)
        self._open.append(held)
        self._channels[held.name] = held

    def _move(self, intake: Intake) -> None:
        """Go on with another channel if that is worth it, once all has come over this one."""
        if self._moves.begins(self._open):
            self._ask()
        elif self._moves.going and not self._draining and not self._inbox and intake.quiet:
            self._find_another()
            channel = self._open[-1].channel
            assert channel is not None
            intake.move(channel)
            self._moves.done()
            self._ask()

    def _find_another(self) -> None:
        """Make one that holds nothing the last."""
        channel = self._open[-1].channel
        assert channel is not None
        if (held := next((held for held in self._open if not held), None)) is not None:
            self._open.remove(held)
            self._open.append(held)
        else:
            fresh = TaskChannel(channel.connection)
            fresh.begin()
            self._add(fresh)

    def _ended(self) -> None:
        """The broker has ended a consumer as we have asked it to."""
        if self._moves.going:
            self._ask()
