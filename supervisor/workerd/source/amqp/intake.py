"""The consuming half of an AMQP channel: how much the broker may send, and what it has sent.

Where the broker knows a limit for the whole channel, that is it.  It does so for classic queues before
RabbitMQ 4; else a single queue has a limit for its consumer, and several take turns (see ``turns``).

The limit is what we hold plus the room there is.  It is sent before the acknowledgements that would make way
for more, and it cannot be 0, which would mean "no limit": then the consumers are cancelled.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from workerd.source.amqp.consumers import Consumers
from workerd.source.amqp.turns import Turns

if TYPE_CHECKING:
    from workerd.clock import Clock
    from workerd.source.amqp.channel import OnMessage, TaskChannel

MOST = 65535  # the limit is a short on the wire

MUCH = 64
"""Of so much room half will do until it is used up: each change is work for the broker."""


class Intake:
    """What comes over ``channel`` is given to ``on_message(queue, message)``."""

    def __init__(
        self,
        channel: TaskChannel,
        *,
        shared_limit: bool,
        declare: Callable[[str], bool],
        on_message: OnMessage,
        on_cancelled: Callable[[str], object],
        clock: Clock,
    ) -> None:
        self._shared, self._declare = shared_limit, declare
        self._on_message, self._on_cancelled = on_message, on_cancelled
        self._channel = channel
        self._consumers = Consumers(channel, self._came, self._cancelled)
        self._turns = Turns(channel, self._consumers, clock)
        channel.on_got = self._got
        self.queues: list[str] = []
        self.limit = 0
        """How many messages may be unsettled here."""

    def add(self, queue: str) -> None:
        """Declare ``queue`` (waits for the broker), and consume it from the next ``allow`` on."""
        if queue in self.queues:
            return
        classic = self._declare(queue)
        self.pause()
        if self._shared and not classic:
            # No limit for the channel any more: the next queue could not be consumed under one.
            self._consumers.limit(0, shared=True)
            self._shared = False
        self.queues.append(queue)

    def remove(self, queue: str) -> None:
        if queue in self.queues:
            self.pause()
            self.queues.remove(queue)

    def revive(self, queue: str) -> None:
        """The broker has cancelled our consumer, as when the queue was deleted: declare and consume again."""
        if queue in self.queues:
            self._declare(queue)
            self.pause()

    def pause(self) -> None:
        """Consume nothing until the next ``allow``."""
        self._turns.stop()
        for queue in self.queues:
            self._consumers.end(queue)
        self.limit = 0

    @property
    def quiet(self) -> bool:
        """It is paused, and the broker has said so: nothing comes any more."""
        return self._channel.quiet

    def move(self, channel: TaskChannel) -> None:
        """Consume over ``channel`` from the next ``allow`` on; to be called while it is quiet."""
        self._channel, channel.on_got = channel, self._got
        self._consumers.move(channel)
        self._turns.move(channel)

    def allow(self, held: int, room: int, waiting: int) -> None:
        """``held`` messages are unsettled, and there is room for more, ``waiting`` of which have come.

        Does not wait for the broker.
        """
        if self._shared or len(self.queues) < 2:
            limit = min(held + room, MOST)
            if room < MUCH or limit < self.limit or limit - self.limit > room // 2:
                self._allow_all(limit)
        else:
            self.limit = held + room
            self._turns.work(self.queues, room - waiting)

    @property
    def takes_turns(self) -> bool:
        """True while it matters which consumer's messages are settled: ``settled`` is to be told of each."""
        return self._turns.listening

    def settled(self, message: Any) -> None:
        """This is about to be settled."""
        self._turns.settled(message)

    def _allow_all(self, limit: int) -> None:
        if limit == self.limit:
            return
        before, self.limit = self.limit, limit
        if not limit or (before and not self._shared):
            # A limit for each consumer is fixed when the consumer begins.
            for queue in self.queues:
                self._consumers.end(queue)
        if limit:
            self._consumers.limit(limit, shared=self._shared)
            for queue in self.queues:
                if self._consumers.tag(queue) is None:
                    self._consumers.begin(queue)

    def _came(self, queue: str, message: Any) -> None:
        self._turns.came(message)
        self._on_message(queue, message)

    def _got(self, queue: str, message: Any) -> None:
        self._turns.got(queue, message)
        self._on_message(queue, message)

    def _cancelled(self, queue: str) -> None:
        if queue in self.queues:
            self._on_cancelled(queue)
