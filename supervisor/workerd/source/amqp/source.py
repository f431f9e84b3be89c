"""``AmqpSource``: task queues of RabbitMQ over a channel of the consumer's connection.

The broker keeps unsettled messages and takes them back when the link is lost, so a tag is good for its own
channel only.  AMQP does not confirm an acknowledgement: ``settle`` and ``give_back`` count as done
when they are written, ``put_aside`` when the broker has confirmed the copy in ``<queue>.dead`` and the
original's acknowledgement is written.

Units:   seconds; the time mark of a dead message is Unix time.
Errors:  py-amqp's and OSError from ``start``; after that, the loss of the link through ``on_lost`` alone.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, tzinfo
from functools import partial
from typing import TYPE_CHECKING, Any

from amqp import spec

from workerd.clock import Clock
from workerd.protocol.message import MalformedError, message_from_amqp
from workerd.source.amqp.dead import DeadLetters, dead_message
from workerd.source.amqp.intake import Intake
from workerd.source.amqp.link import LINK_ERRORS, AmqpLink
from workerd.source.amqp.queues import declare_task_queue
from workerd.source.base import Delivery, Done
from workerd.transport.loop import Loop

if TYPE_CHECKING:
    from kombu.connection import Connection

Tag = tuple[str, int]
"""Random name of the channel, and the broker's delivery tag."""


class AmqpSource:
    """A ``TaskSource`` over one channel of a connected kombu ``connection``."""

    survives_link = False

    def __init__(self, connection: Connection, loop: Loop, clock: Clock, zone: tzinfo = UTC) -> None:
        self._zone = zone
        self._connection, self._loop, self._clock = connection, loop, clock
        self._name = secrets.token_hex(4)
        self._dead = DeadLetters(connection, loop)
        self._channel: Any = None
        self._intake: Intake | None = None
        self._link: AmqpLink | None = None
        self._inbox: deque[tuple[str, Any]] = deque()  # came, and there was no room yet
        self._held: dict[int, Any] = {}  # given to the consumer and not settled, lowest number first
        self._acks: set[int] = set()
        self._nacks: set[int] = set()
        self._thens: list[Done] = []
        self._aside = 0
        self._room = 0
        self._asked = self._closed = False

    @property
    def pending(self) -> int:
        return len(self._acks) + len(self._nacks) + self._aside

    def start(
        self,
        queues: Sequence[str],
        on_deliveries: Callable[[list[Delivery]], None],
        on_lost: Callable[[str], None],
        known: Callable[[Any], bool],
    ) -> None:
        """Open the channel and declare; waits for the broker, 5 s at most for each answer."""
        self._on_deliveries, self._on_lost = on_deliveries, on_lost
        connection: Any = self._connection
        self._link = AmqpLink(connection.connection, self._loop, self._lost)
        self._link.start()
        self._channel = connection.channel()
        self._channel.auto_decode = False
        self._intake = Intake(
            self._channel,
            shared_limit=not connection.qos_semantics_matches_spec,
            declare=partial(declare_task_queue, connection),
            on_message=self._came,
            on_cancelled=partial(self._loop.call_soon, self._revive),
        )
        for queue in queues:
            self._intake.add(queue)
        self._ask()

    def fetch(self, room: int) -> None:
        self._room = room
        self._ask()

    def wait(self) -> None:
        """Nothing to arrange: the broker sends as soon as it can."""

    def settle(self, deliveries: Sequence[Delivery], then: Done | None = None) -> None:
        self._acks.update(self._ours(deliveries))
        self._finish(then)

    def give_back(self, deliveries: Sequence[Delivery], then: Done | None = None) -> None:
        self._nacks.update(self._ours(deliveries))
        self._finish(then)

    def put_aside(self, delivery: Delivery, reason: str, then: Done | None = None) -> None:
        numbers = self._ours([delivery])
        if not numbers:
            self._finish(then)
            return
        self._aside += 1
        marks = {
            "x-workerd-reason": reason,
            "x-workerd-queue": delivery.queue,
            "x-workerd-time": self._clock.wall(),
        }
        message = dead_message(self._held[numbers[0]], marks)
        self._dead.publish(f"{delivery.queue}.dead", message, partial(self._copied, numbers[0], then))

    def add_queue(self, name: str) -> None:
        if self._link is not None and self._intake is not None:
            with self._link.guarded():
                self._intake.add(name)

    def cancel_queue(self, name: str) -> None:
        if self._link is not None and self._intake is not None:
            with self._link.guarded():
                self._intake.remove(name)

    def info(self) -> Mapping[str, Any]:
        return {
            "kind": "amqp",
            "url": self._connection.as_uri(),
            "up": self._intake is not None and not self._closed,
            "queues": sorted(self._intake.queues) if self._intake is not None else [],
            "prefetch": self._intake.limit if self._intake is not None else 0,
            "in_flight": len(self._held),
            "pending": self.pending,
            "room": self._room,
        }

    def close(self) -> None:
        if self._closed:
            return
        if self._link is not None and self._intake is not None:
            self._room = 0
            self._round()
        self._leave()
        if self._channel is not None:
            with suppress(*LINK_ERRORS):
                self._channel.close()

    # -- in ------------------------------------------------------------------------------------

    def _came(self, queue: str, message: Any) -> None:
        self._inbox.append((queue, message))
        self._ask()

    def _hand_over(self) -> None:
        deliveries = []
        while self._inbox and self._room > 0:
            queue, message = self._inbox.popleft()
            self._held[message.delivery_tag] = message
            self._room -= 1
            deliveries.append(self._delivery(queue, message))
        if deliveries:
            self._on_deliveries(deliveries)

    def _delivery(self, queue: str, message: Any) -> Delivery:
        info = message.delivery_info
        body = message.body or b""  # py-amqp has an empty text for no body
        delivery = Delivery((self._name, message.delivery_tag), queue, None, body)
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

    def _revive(self, queue: str) -> None:
        if self._link is not None and self._intake is not None and not self._closed:
            with self._link.guarded():
                self._intake.revive(queue)

    # -- out -----------------------------------------------------------------------------------

    def _ours(self, deliveries: Sequence[Delivery]) -> list[int]:
        """Numbers on this channel; what another one delivered, the broker has taken back."""
        return [d.tag[1] for d in deliveries if d.tag[0] == self._name and d.tag[1] in self._held]

    def _finish(self, then: Done | None) -> None:
        if then is not None:
            self._thens.append(then)
        self._ask()

    def _copied(self, number: int, then: Done | None) -> None:
        self._aside -= 1
        self._acks.add(number)
        self._finish(then)

    def _ask(self) -> None:
        if not self._asked and not self._closed:
            self._asked = True
            self._loop.call_soon(self._work)

    def _work(self) -> None:
        self._asked = False
        if self._closed or self._link is None or self._intake is None:
            return
        self._round()
        if not self._closed:
            thens, self._thens = self._thens, []
            for then in thens:
                then()
            self._hand_over()

    def _round(self) -> None:
        assert self._link is not None and self._intake is not None
        with self._link.guarded():
            ended = len(self._acks) + len(self._nacks)
            self._intake.allow(len(self._held) - ended + self._room)
            for number in sorted(self._nacks, reverse=True):
                self._channel.send_method(spec.Basic.Nack, "Lbb", (number, False, True))
                del self._held[number]
            self._nacks.clear()
            self._acknowledge()

    def _acknowledge(self) -> None:
        """One frame for all up to the first that goes on, one for each of the others."""
        first = next((number for number in self._held if number not in self._acks), None)
        run = {number for number in self._acks if first is None or number < first}
        if run:
            self._channel.basic_ack(max(run), multiple=True)
        for number in self._acks - run:
            self._channel.basic_ack(number)
        for number in self._acks:
            del self._held[number]
        self._acks.clear()

    # -- leaving -------------------------------------------------------------------------------

    def _lost(self, reason: str) -> None:
        if not self._closed:
            self._leave()
            self._channel = None
            self._on_lost(reason)

    def _leave(self) -> None:
        self._closed = True
        if self._link is not None:
            self._link.stop()
        self._dead.close()
