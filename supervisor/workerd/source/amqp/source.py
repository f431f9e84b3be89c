"""``AmqpSource``: task queues of RabbitMQ over the consumer's connection, a channel for each group.

The broker keeps unsettled messages and takes them back when the link is lost, so a tag is good for its own
channel only.  AMQP does not confirm an acknowledgement: ``settle`` and ``give_back`` count as done
when they are written.  A message that is changed on the way (one that is put aside, one that is given back
with a count of deaths) is published anew; that counts as done when the broker has confirmed the copy and
the original's acknowledgement is written.

Units:   seconds.
Errors:  py-amqp's and OSError from ``start``; after that, the loss of the link through ``on_lost`` alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, tzinfo
from functools import partial
from typing import TYPE_CHECKING, Any

from amqp.exceptions import ChannelError

from workerd.clock import Clock, SystemClock
from workerd.protocol.dead import Letter, marks_of
from workerd.source.amqp.cancellations import Cancellations
from workerd.source.amqp.copies import Copies
from workerd.source.amqp.delays import Delays
from workerd.source.amqp.gauge import Gauge
from workerd.source.amqp.group import PATIENCE
from workerd.source.amqp.groups import Groups
from workerd.source.amqp.link import LINK_ERRORS, AmqpLink
from workerd.source.amqp.marking import dead_message, returned_message
from workerd.source.amqp.outgoing import Declare
from workerd.source.amqp.parking import Parking
from workerd.source.amqp.publisher import Publisher
from workerd.source.amqp.pulse import Pulse
from workerd.source.amqp.queues import declare_dead_queue, declare_task_queue
from workerd.source.amqp.reading import Reading, content_of
from workerd.source.base import Counted, Delivery, Done
from workerd.transport.loop import Cancelable, Loop

if TYPE_CHECKING:
    from kombu.connection import Connection


class AmqpSource:
    """A ``TaskSource`` over a connected kombu ``connection``; tags are those of ``held``."""

    survives_link = False
    sure_until = math.inf

    def __init__(
        self, connection: Connection, loop: Loop, zone: tzinfo = UTC, clock: Clock | None = None
    ) -> None:
        self._reading, self._clock = Reading(zone), clock or SystemClock()
        self._connection, self._loop = connection, loop
        self._publisher = Publisher(connection, loop, self._feel_pulse)
        self._copies = Copies(self._publisher, self._ask)
        self._delays = Delays(loop, self._guarded)
        self._parking = Parking(self._delays, self._copies, self._clock)
        cancelled = partial(loop.call_soon, self._cancelled)
        self._groups = Groups(connection, self._clock, self._ask, cancelled, self._delays.serve)
        self._cancellations = Cancellations(loop, self._groups.revive)
        self._link: AmqpLink | None = None
        self._gauge: Gauge | None = None
        self._pulse: Pulse | None = None
        self._asked = self._closed = False
        self._patience: Cancelable | None = None

    @property
    def pending(self) -> int:
        return self._groups.pending + len(self._copies)

    def start(
        self,
        groups: Mapping[str, Sequence[str]],
        on_deliveries: Callable[[list[Delivery]], None],
        on_lost: Callable[[str], None],
        known: Collection[Any],
        on_gone: Callable[[list[Any]], None],
    ) -> None:
        """Open the channels and declare; waits for the broker, 5 s at most for each answer."""
        self._on_deliveries, self._on_lost = on_deliveries, on_lost
        connection: Any = self._connection
        self._link = AmqpLink(connection.connection, self._loop, self._lost)
        self._link.start()
        self._pulse = Pulse(connection.connection)
        self._delays.start(connection.connection)
        for name, queues in groups.items():
            self._groups.open(name)
            for queue in queues:
                self._consume(name, queue)
        self._ask()

    def fetch(self, group: str, room: int) -> None:
        self._groups[group].room = room
        self._ask()

    def drain(self) -> None:
        for group in self._groups:
            group.drain()
        self._ask()

    def backlog(self, queues: Sequence[str], then: Counted) -> None:
        if self._link is None or self._closed:
            return
        with self._link.guarded():
            if self._gauge is None:
                connection: Any = self._connection  # kombu's own types are incomplete
                self._gauge = Gauge(connection.connection)
            # Not from inside the link's read: what it raises there counts as the loss of the link.
            self._gauge.ask(queues, partial(self._loop.call_soon, self._counted, then))

    def _counted(self, then: Counted, counts: Mapping[str, int]) -> None:
        if not self._closed:
            then(counts)

    def wait(self) -> None:
        """Nothing to arrange: the broker sends as soon as it can."""

    def settle(self, deliveries: Sequence[Delivery], then: Done | None = None) -> None:
        self._groups.settle(deliveries)
        self._finish(deliveries, then)

    def give_back(self, deliveries: Sequence[Delivery], then: Done | None = None) -> None:
        for held, number in self._groups.holding([d for d in deliveries if not d.counted]):
            held.nacks.add(number)
        for delivery in deliveries:
            # A nack cannot change a header, so the count travels in a copy.
            if delivery.counted or delivery.adopted:
                change = partial(returned_message, deaths=delivery.deaths, frame=self._frame)
                self._copy(delivery, delivery.queue, declare_task_queue, change)
        self._finish(deliveries, then)

    def put_aside(self, delivery: Delivery, letter: Letter, then: Done | None = None) -> None:
        change = partial(dead_message, marks=marks_of(letter), frame=self._frame)
        self._copy(delivery, f"{delivery.queue}.dead", declare_dead_queue, change)
        self._finish([delivery], then)

    @property
    def _frame(self) -> int:
        connection: Any = self._connection  # kombu's own types are incomplete
        return int(connection.connection.frame_max or 0)

    @property
    def parked(self) -> int:
        return self._delays.count

    def can_park(self, delivery: Delivery) -> bool:
        return not delivery.adopted and self._delays.ready(delivery.queue)

    def park(self, delivery: Delivery, then: Done, refused: Done) -> None:
        for held, number in self._groups.holding([delivery]):
            self._parking.park(held, number, delivery, refused)
        self._finish([delivery], then)

    def note(self, delivery: Delivery, deaths: int) -> None:
        """The broker takes it back unchanged."""

    def add_queue(self, group: str, name: str) -> None:
        if self._link is not None and not self._closed:
            refused: list[ChannelError] = []
            with self._link.guarded():
                try:
                    self._consume(group, name)
                except ChannelError as exc:  # it has closed the channel of this question alone
                    refused.append(exc)
            if refused:
                raise refused[0]

    def cancel_queue(self, name: str) -> None:
        self._guarded(partial(self._groups.remove, name))

    def info(self) -> Mapping[str, Any]:
        return {
            "kind": "amqp",
            "url": self._connection.as_uri(),
            "up": self._link is not None and not self._closed,
            "pending": self.pending,
            "cancelled": dict(self._cancellations.counts),
            "refused": dict(self._cancellations.refused),
            **self._groups.info(),
        }

    def close(self) -> None:
        if self._closed:
            return
        if self._link is not None:
            for group in self._groups:
                group.room = 0
            self._round()
        self._leave()
        for group in self._groups:
            with suppress(*LINK_ERRORS):
                group.close()
        if self._gauge is not None:
            with suppress(*LINK_ERRORS):
                self._gauge.close()

    def _feel_pulse(self, then: Done) -> None:
        """``then`` once the broker has answered."""
        if self._pulse is not None:
            # Not from inside the link's read, as above.
            self._guarded(partial(self._pulse.ask, partial(self._loop.call_soon, then)))

    # -- queues --------------------------------------------------------------------------------

    def _consume(self, group: str, queue: str) -> None:
        self._groups.open(group).add(queue)
        self._ask()

    def _cancelled(self, queue: str) -> None:
        """The broker has ended our consumer of ``queue``."""
        self._guarded(partial(self._cancellations.cancelled, queue))

    # -- in ------------------------------------------------------------------------------------

    def _hand_over(self) -> None:
        for group in self._groups:
            deliveries = [self._reading.delivery(*one) for one in group.take()]
            if deliveries and not self._closed:
                self._on_deliveries(deliveries)
        if self._patience is None and not self._closed and self._groups.waiting:
            self._patience = self._loop.call_later(PATIENCE, self._lose_patience)

    def _lose_patience(self) -> None:
        self._patience = None
        self._ask()

    # -- out -----------------------------------------------------------------------------------

    def _copy(self, delivery: Delivery, queue: str, declare: Declare, change: Callable[[Any], Any]) -> None:
        """Publish ``delivery`` to ``queue`` as ``change`` makes it, if it is ours to do so."""
        if delivery.adopted and delivery.message is not None:
            message = change(content_of(delivery.message.payload))
            self._copies.send_anew(delivery.tag, queue, declare, message)
        for held, number in self._groups.holding([delivery]):
            self._copies.send(held, number, queue, declare, change(held.messages[number]))

    def _finish(self, deliveries: Sequence[Delivery], then: Done | None) -> None:
        if then is not None:
            self._copies.after(deliveries, then)
        self._ask()

    def _ask(self) -> None:
        if not self._asked and not self._closed:
            self._asked = True
            self._loop.call_soon(self._work)

    def _work(self) -> None:
        self._asked = False
        if self._closed or self._link is None:
            return
        self._round()
        if not self._closed:
            self._copies.tell()
            self._hand_over()

    def _round(self) -> None:
        assert self._link is not None
        with self._link.guarded():
            for group in self._groups:
                group.work()

    def _guarded(self, act: Callable[[], object]) -> None:
        """Do this while there is a link; what it raises is the loss of that."""
        if self._link is not None and not self._closed:
            with self._link.guarded():
                act()

    # -- leaving -------------------------------------------------------------------------------

    def _lost(self, reason: str) -> None:
        if not self._closed:
            self._leave(lost=True)
            for group in self._groups:
                group.forget()
            self._on_lost(reason)

    def _leave(self, *, lost: bool = False) -> None:
        self._closed = True
        if self._link is not None:
            self._link.stop()
        self._publisher.close(lost=lost)
        self._delays.stop()
        self._cancellations.close()
        if self._patience is not None:
            self._patience.cancel()
