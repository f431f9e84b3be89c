"""``AmqpSource``: task queues of RabbitMQ over the consumer's connection, a channel for each group.

The broker keeps unsettled messages and takes them back when the link is lost, so a tag is good for its own
channel only.  AMQP does not confirm an acknowledgement: ``settle`` and ``give_back`` count as done
when they are written, ``put_aside`` when the broker has confirmed the copy in ``<queue>.dead`` and the
original's acknowledgement is written.

Units:   seconds; the time mark of a dead message is Unix time.
Errors:  py-amqp's and OSError from ``start``; after that, the loss of the link through ``on_lost`` alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, tzinfo
from functools import partial
from typing import TYPE_CHECKING, Any

from workerd.clock import Clock
from workerd.protocol.message import MalformedError, message_from_amqp
from workerd.source.amqp.dead import DeadLetters, dead_message
from workerd.source.amqp.group import Group
from workerd.source.amqp.link import LINK_ERRORS, AmqpLink
from workerd.source.amqp.queues import declare_task_queue
from workerd.source.base import Delivery, Done
from workerd.transport.loop import Loop

if TYPE_CHECKING:
    from kombu.connection import Connection

    from workerd.source.amqp.intake import Intake


class AmqpSource:
    """A ``TaskSource`` over a connected kombu ``connection``; tags are those of ``group``."""

    survives_link = False

    def __init__(self, connection: Connection, loop: Loop, clock: Clock, zone: tzinfo = UTC) -> None:
        self._zone = zone
        self._connection, self._loop, self._clock = connection, loop, clock
        self._dead = DeadLetters(connection, loop)
        self._groups: dict[str, Group] = {}
        self._link: AmqpLink | None = None
        self._thens: list[Done] = []
        self._aside = 0
        self._asked = self._closed = False

    @property
    def pending(self) -> int:
        return sum(group.pending for group in self._groups.values()) + self._aside

    def start(
        self,
        groups: Mapping[str, Sequence[str]],
        on_deliveries: Callable[[list[Delivery]], None],
        on_lost: Callable[[str], None],
        known: Callable[[Any], bool],
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

    def wait(self) -> None:
        """Nothing to arrange: the broker sends as soon as it can."""

    def settle(self, deliveries: Sequence[Delivery], then: Done | None = None) -> None:
        for group, number in self._ours(deliveries):
            group.acks.add(number)
        self._finish(then)

    def give_back(self, deliveries: Sequence[Delivery], then: Done | None = None) -> None:
        for group, number in self._ours(deliveries):
            group.nacks.add(number)
        self._finish(then)

    def put_aside(self, delivery: Delivery, reason: str, then: Done | None = None) -> None:
        ours = next(self._ours([delivery]), None)
        if ours is None:
            self._finish(then)
            return
        group, number = ours
        self._aside += 1
        marks = {
            "x-workerd-reason": reason,
            "x-workerd-queue": delivery.queue,
            "x-workerd-time": self._clock.wall(),
        }
        message = dead_message(group.message(number), marks)
        self._dead.publish(f"{delivery.queue}.dead", message, partial(self._copied, group, number, then))

    def add_queue(self, group: str, name: str) -> None:
        if self._link is not None and not self._closed:
            with self._link.guarded():
                self._consume(group, name)

    def cancel_queue(self, name: str) -> None:
        if self._link is not None and not self._closed:
            with self._link.guarded():
                for intake in self._intakes():
                    intake.remove(name)

    def info(self) -> Mapping[str, Any]:
        return {
            "kind": "amqp",
            "url": self._connection.as_uri(),
            "up": self._link is not None and not self._closed,
            "queues": sorted(queue for intake in self._intakes() for queue in intake.queues),
            "prefetch": sum(intake.limit for intake in self._intakes()),
            "in_flight": sum(group.held for group in self._groups.values()),
            "pending": self.pending,
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

    # -- groups --------------------------------------------------------------------------------

    def _group(self, name: str) -> Group:
        if name not in self._groups:
            self._groups[name] = Group(self._ask)
        return self._groups[name]

    def _intakes(self) -> list[Intake]:
        return [group.intake for group in self._groups.values() if group.intake is not None]

    def _open(self, name: str) -> Intake:
        """The intake of the group ``name``, over a channel that waits for the broker if it is new."""
        group = self._group(name)
        connection: Any = self._connection  # kombu's own types are incomplete
        if group.intake is None:
            group.open(
                connection.channel(),
                shared_limit=not connection.qos_semantics_matches_spec,
                declare=partial(declare_task_queue, connection),
                on_cancelled=partial(self._loop.call_soon, self._revive),
            )
        assert group.intake is not None
        return group.intake

    def _consume(self, group: str, queue: str) -> None:
        self._open(group).add(queue)

    def _revive(self, queue: str) -> None:
        if self._link is not None and not self._closed:
            with self._link.guarded():
                for intake in self._intakes():
                    intake.revive(queue)

    # -- in ------------------------------------------------------------------------------------

    def _hand_over(self) -> None:
        for group in list(self._groups.values()):
            deliveries = [self._delivery(group.name, *came) for came in group.take()]
            if deliveries and not self._closed:
                self._on_deliveries(deliveries)

    def _delivery(self, channel: str, queue: str, message: Any) -> Delivery:
        info = message.delivery_info
        body = message.body or b""  # py-amqp has an empty text for no body
        delivery = Delivery((channel, message.delivery_tag), queue, None, body)
        delivery.redelivered = bool(info["redelivered"])
        try:
            delivery.message = message_from_amqp(
                message.properties,
                message.headers or {},
                body,
                exchange=info["exchange"],
                routing_key=info["routing_key"],
                redelivered=delivery.redelivered,
                zone=self._zone,
            )
        except MalformedError as exc:
            delivery.problem = str(exc)
        return delivery

    # -- out -----------------------------------------------------------------------------------

    def _ours(self, deliveries: Sequence[Delivery]) -> Iterator[tuple[Group, int]]:
        """Channels and numbers; what a channel of an earlier link delivered, the broker has taken back."""
        for delivery in deliveries:
            for group in self._groups.values():
                if (number := group.number(delivery)) is not None:
                    yield group, number

    def _finish(self, then: Done | None) -> None:
        if then is not None:
            self._thens.append(then)
        self._ask()

    def _copied(self, group: Group, number: int, then: Done | None) -> None:
        self._aside -= 1
        group.acks.add(number)
        self._finish(then)

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
            thens, self._thens = self._thens, []
            for then in thens:
                then()
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
        self._dead.close()
