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
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, tzinfo
from functools import partial
from typing import TYPE_CHECKING, Any

from workerd.clock import Clock, SystemClock
from workerd.protocol.dead import Letter, marks_of
from workerd.source.amqp.cancellations import Cancellations
from workerd.source.amqp.channel import TaskChannel
from workerd.source.amqp.copies import Copies
from workerd.source.amqp.gauge import Gauge
from workerd.source.amqp.group import PATIENCE, Group
from workerd.source.amqp.link import LINK_ERRORS, AmqpLink
from workerd.source.amqp.publisher import Publisher, dead_message, returned_message
from workerd.source.amqp.queues import declare_dead_queue, declare_task_queue, knows_shared_limits
from workerd.source.amqp.reading import delivery_of
from workerd.source.base import Counted, Delivery, Done
from workerd.transport.loop import Cancelable, Loop

if TYPE_CHECKING:
    from kombu.connection import Connection

    from workerd.source.amqp.intake import Intake


class AmqpSource:
    """A ``TaskSource`` over a connected kombu ``connection``; tags are those of ``group``."""

    survives_link = False
    sure_until = math.inf

    def __init__(
        self, connection: Connection, loop: Loop, zone: tzinfo = UTC, clock: Clock | None = None
    ) -> None:
        self._zone, self._clock = zone, clock or SystemClock()
        self._connection, self._loop = connection, loop
        self._publisher = Publisher(connection, loop)
        self._copies = Copies(self._publisher, self._ask)
        self._cancellations = Cancellations(loop, self._revive)
        self._groups: dict[str, Group] = {}
        self._link: AmqpLink | None = None
        self._gauge: Gauge | None = None
        self._asked = self._closed = False
        self._patience: Cancelable | None = None

    @property
    def pending(self) -> int:
        return sum(group.pending for group in self._groups.values()) + len(self._copies)

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
        for name, queues in groups.items():
            self._open(name)
            for queue in queues:
                self._consume(name, queue)
        self._ask()

    def fetch(self, group: str, room: int) -> None:
        self._group(group).room = room
        self._ask()

    def drain(self) -> None:
        for group in self._groups.values():
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
        for group, number in self._ours(deliveries):
            group.acks.add(number)
        self._finish(deliveries, then)

    def give_back(self, deliveries: Sequence[Delivery], then: Done | None = None) -> None:
        for group, number in self._ours([d for d in deliveries if not d.counted]):
            group.nacks.add(number)
        for delivery in deliveries:
            # A nack cannot change a header, so the count travels in a copy.
            for group, number in self._ours([delivery] if delivery.counted else []):
                message = returned_message(group.message(number), delivery.deaths)
                self._copies.send(group, number, delivery.queue, declare_task_queue, message)
        self._finish(deliveries, then)

    def put_aside(self, delivery: Delivery, letter: Letter, then: Done | None = None) -> None:
        for group, number in self._ours([delivery]):
            message = dead_message(group.message(number), marks_of(letter))
            self._copies.send(group, number, f"{delivery.queue}.dead", declare_dead_queue, message)
        self._finish([delivery], then)

    @property
    def parked(self) -> int:
        return 0

    def can_park(self, delivery: Delivery) -> bool:
        return False

    def park(self, delivery: Delivery, then: Done, refused: Done) -> None:
        refused()

    def note(self, delivery: Delivery, deaths: int) -> None:
        """The broker takes it back unchanged."""

    def add_queue(self, group: str, name: str) -> None:
        if self._link is not None and not self._closed:
            with self._link.guarded():
                self._consume(group, name)

    def cancel_queue(self, name: str) -> None:
        if self._link is not None and not self._closed:
            with self._link.guarded():
                for intake in self._intakes():
                    intake.remove(name)
            self._ask()

    def info(self) -> Mapping[str, Any]:
        return {
            "kind": "amqp",
            "url": self._connection.as_uri(),
            "up": self._link is not None and not self._closed,
            "queues": sorted(queue for intake in self._intakes() for queue in intake.queues),
            "prefetch": sum(intake.limit for intake in self._intakes()),
            "in_flight": sum(group.held for group in self._groups.values()),
            "pending": self.pending,
            "acknowledged": sum(group.acked for group in self._groups.values()),
            "ack_frames": sum(group.frames for group in self._groups.values()),
            "cancelled": dict(self._cancellations.counts),
            "refused": dict(self._cancellations.refused),
            "room": {name: group.room for name, group in self._groups.items()},
        }

    def close(self) -> None:
        if self._closed:
            return
        if self._link is not None:
            for group in self._groups.values():
                group.room = 0
            self._round()
        self._leave()
        for group in self._groups.values():
            with suppress(*LINK_ERRORS):
                group.close()
        if self._gauge is not None:
            with suppress(*LINK_ERRORS):
                self._gauge.close()

    # -- groups --------------------------------------------------------------------------------

    def _group(self, name: str) -> Group:
        if name not in self._groups:
            self._groups[name] = Group(self._ask, self._clock)
        return self._groups[name]

    def _intakes(self) -> list[Intake]:
        return [group.intake for group in self._groups.values() if group.intake is not None]

    def _open(self, name: str) -> Intake:
        """The intake of the group ``name``, over a channel that waits for the broker if it is new."""
        group = self._group(name)
        connection: Any = self._connection  # kombu's own types are incomplete
        if group.intake is None:
            channel = TaskChannel(connection.connection)
            channel.open()
            group.open(
                channel,
                shared_limit=knows_shared_limits(connection),
                declare=partial(declare_task_queue, connection),
                on_cancelled=partial(self._loop.call_soon, self._cancelled),
            )
        assert group.intake is not None
        return group.intake

    def _consume(self, group: str, queue: str) -> None:
        self._open(group).add(queue)
        self._ask()

    def _cancelled(self, queue: str) -> None:
        """The broker has ended our consumer of ``queue``."""
        if self._link is not None and not self._closed:
            with self._link.guarded():
                self._cancellations.cancelled(queue)

    def _revive(self, queue: str) -> None:
        for intake in self._intakes():
            intake.revive(queue)
        self._ask()

    # -- in ------------------------------------------------------------------------------------

    def _hand_over(self) -> None:
        for group in list(self._groups.values()):
            deliveries = [delivery_of(group.name, *came, self._zone) for came in group.take()]
            if deliveries and not self._closed:
                self._on_deliveries(deliveries)
        if self._patience is None and not self._closed and any(g.waiting for g in self._groups.values()):
            self._patience = self._loop.call_later(PATIENCE, self._lose_patience)

    def _lose_patience(self) -> None:
        self._patience = None
        self._ask()

    # -- out -----------------------------------------------------------------------------------

    def _ours(self, deliveries: Sequence[Delivery]) -> Iterator[tuple[Group, int]]:
        """Channels and numbers; what a channel of an earlier link delivered, the broker has taken back."""
        for delivery in deliveries:
            for group in self._groups.values():
                if (number := group.number(delivery)) is not None:
                    yield group, number

    def _finish(self, deliveries: Sequence[Delivery], then: Done | None) -> None:
        if then is not None:
            self._copies.after([delivery.tag for delivery in deliveries], then)
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
            for group in self._groups.values():
                group.work()

    # -- leaving -------------------------------------------------------------------------------

    def _lost(self, reason: str) -> None:
        if not self._closed:
            self._leave()
            for group in self._groups.values():
                group.forget()
            self._on_lost(reason)

    def _leave(self) -> None:
        self._closed = True
        if self._link is not None:
            self._link.stop()
        self._publisher.close()
        self._cancellations.close()
        if self._patience is not None:
            self._patience.cancel()
