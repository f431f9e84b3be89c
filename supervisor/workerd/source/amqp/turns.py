"""Several queues with one budget, where the broker knows a limit for a single consumer only.

A consumer for each queue, each with the whole budget, would let the broker send as much of every queue; with
a part of it each, slots would be idle while one queue is full and the others have nothing.  So a queue that
has messages is *asked* for them, one by one and in turn, never for more than there is room for.  Only when
all have answered that they are empty they are *listened* to, until one has more than its share.

Then each has a share of the room, at least one message.  Where there are more queues than there is room, a
message of each may come at the same moment: those wait here, and are the first to run.

A queue that is deleted while it is asked costs the channel, and by that the link.

Units:   seconds of the monotonic clock.
Source:  asking takes 0.5 ms a message of a quorum queue, and cannot be slower than a consumer anew for each
         change of a limit, which takes 2 ms [measured, RabbitMQ 3.10].
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workerd.clock import Clock
    from workerd.source.amqp.channel import TaskChannel
    from workerd.source.amqp.consumers import Consumers

EMPTY = 0.05
"""How long a queue that was empty is not asked again, while another one has messages."""


class Turns:
    """Whose turn it is; ``work`` once a round, before what has ended is told to the broker."""

    def __init__(self, channel: TaskChannel, consumers: Consumers, clock: Clock) -> None:
        self._channel, self._consumers, self._clock = channel, consumers, clock
        self._open: dict[str, int] = {}  # by consumer: what the broker may still send; empty while asking
        self._listened: tuple[str, ...] = ()
        self._come = False  # something has, since we listen
        self._empty: dict[str, float] = {}  # queues that were, and when
        self._next = 0

    def move(self, channel: TaskChannel) -> None:
        """Ask over ``channel`` from now on; nobody listens, and nothing that was asked is unanswered."""
        self._channel = channel

    @property
    def listening(self) -> bool:
        return bool(self._open)

    @property
    def coming(self) -> int:
        """Messages that the broker may still send."""
        return sum(self._open.values()) + self._channel.asked

    def work(self, queues: Sequence[str], room: int) -> None:
        """``room`` messages of ``queues`` may come, and no more."""
        if self.listening and self._must_ask(queues, room):
            self.stop()
        if not self.listening:
            self._ask(queues, room)

    def stop(self) -> None:
        """Listen no more; what was asked for still comes."""
        for queue in self._listened:
            self._consumers.end(queue)
        self._listened = ()
        self._open.clear()
        self._empty.clear()

    def came(self, message: Any) -> None:
        """A consumer has brought this."""
        if self._open and (tag := message.delivery_info.get("consumer_tag")) in self._open:
            self._open[tag] -= 1
            self._come = True

    def got(self, queue: str, message: Any) -> None:
        """The answer to a question."""
        if message is None:
            self._empty[queue] = self._clock.now()
        else:
            self._empty.pop(queue, None)

    def settled(self, message: Any) -> None:
        """This is about to be settled, which makes room for another one of the same consumer."""
        if self._open and (tag := message.delivery_info.get("consumer_tag")) in self._open:
            self._open[tag] += 1

    def _must_ask(self, queues: Sequence[str], room: int) -> bool:
        coming = self.coming
        # Where nothing has come yet, one message of each queue is meant to be possible.
        most = room if self._come else max(room, len(queues))
        # Who has used up its share may have more, and there is room for it that others do not need.
        return room <= 0 or coming > most or 0 in self._open.values()

    def _ask(self, queues: Sequence[str], room: int) -> None:
        now, free = self._clock.now(), room - self._channel.asked
        askable = [queue for queue in queues if self._empty.get(queue, -math.inf) <= now - EMPTY]
        if not self._channel.asked and room > 0 and all(queue in self._empty for queue in queues):
            self._listen(queues, room)
            return
        for _ in range(free if askable else 0):
            self._next += 1
            self._channel.get(askable[self._next % len(askable)])

    def _listen(self, queues: Sequence[str], room: int) -> None:
        share = max(room // len(queues), 1)
        self._consumers.limit(share, shared=False)
        self._listened, self._come = tuple(queues), False
        for queue in queues:
            self._open[self._consumers.begin(queue)] = share
