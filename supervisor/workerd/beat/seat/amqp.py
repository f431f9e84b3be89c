"""The seat on RabbitMQ: the one active consumer of a queue, which RabbitMQ chooses among those that consume.

Whoever consumes puts a token into the queue; the active one gets it and keeps it.  When its channel ends,
however that comes, RabbitMQ gives the token to the next consumer, at once.  A tick and its record are one
transaction on that same channel: a beat whose seat is another's publishes nothing.  A broker that dies
while it commits may have taken one of the two.

    workerd.beat.CLUSTER          the seat
    workerd.beat.CLUSTER.state    one message: what is remembered
    workerd.beat.CLUSTER.orders   pauses that were asked for, until the leader has read them

Units:   seconds.
"""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import amqp
import msgspec
from amqp.exceptions import PreconditionFailed

from workerd.app.sending.connection import BrokerConnection
from workerd.app.sending.outlet.base import Posting
from workerd.app.sending.publish import publish_by_kombu
from workerd.app.sending.seats import BrokerProducer
from workerd.beat.record import Record, State, read_state, write
from workerd.beat.seat.opening import connect

if TYPE_CHECKING:
    from kombu.entity import Exchange, Queue

    from workerd.app import App

logger = logging.getLogger(__name__)

KEPT = 300.0
"""A token is replaced after this: RabbitMQ ends channels that keep a message for long."""

TRIES, PAUSE = 5, 0.05
"""For the state, which may be in somebody else's hands for a moment."""


class AmqpSeat:
    """See ``Seat``."""

    def __init__(self, app: App, cluster: str, node: str, lease: float) -> None:
        self.fresh = False
        self._app, self._node, self._lease = app, node, lease
        self._name = f"workerd.beat.{cluster}"
        self._state = State()
        self._connection: BrokerConnection | None = None
        self._channel: Any = None
        self._tokens: list[int] = []
        self._since = 0.0
        self._joined = False
        self._foreign: set[str] = set()

    # -- the seat --------------------------------------------------------------------------------

    def hold(self) -> bool:
        channel = self._open()
        if not self._joined:
            self._join(channel)
        self._hear()
        if not self._tokens:
            return False
        if len(self._tokens) > 1:  # one is enough, and who puts another one says only that he is there
            for tag in self._tokens[:-1]:
                channel.basic_ack(tag)
            del self._tokens[:-1]
            channel.tx_commit()
        if time.monotonic() - self._since > KEPT:
            self._since = time.monotonic()
            channel.basic_publish(amqp.Message(b"beat", delivery_mode=2), "", self._name)
            channel.tx_commit()
        return True

    def patience(self) -> float:
        return 2.0

    def fileno(self) -> int | None:
        connection = self._connection
        return None if connection is None else int(connection.connection.sock.fileno())

    def _join(self, channel: Any) -> None:
        self._joined = True
        found = channel.queue_declare(
            self._name, durable=True, auto_delete=False, arguments={"x-single-active-consumer": True}
        )
        channel.basic_consume(self._name, callback=self._given, on_cancel=self._cancelled)
        if not found.message_count:  # there is none, or the active one has it and takes this for it
            channel.basic_publish(amqp.Message(b"beat", delivery_mode=2), "", self._name)
        channel.tx_commit()

    def _given(self, message: Any) -> None:
        """A token, which comes to the active consumer only."""
        if not self._tokens:
            self.fresh, self._since = True, time.monotonic()
        self._tokens.append(message.delivery_tag)

    def _cancelled(self, tag: str) -> None:
        raise ConnectionError(f"the queue {self._name} was deleted")

    def _hear(self) -> None:
        """Take what has come, and let the broker know that we are there."""
        connection = self._connection
        assert connection is not None
        connection.heartbeat_check()  # type: ignore[no-untyped-call]
        with suppress(TimeoutError):
            while True:
                connection.drain_events(timeout=0.01)  # type: ignore[no-untyped-call]

    # -- what is remembered ----------------------------------------------------------------------

    def read(self) -> State:
        """Another reader may have the only message in hand for a moment."""
        channel = self._open()
        self._declare_memory(channel)
        self.fresh = False
        for _ in range(TRIES):
            message = channel.basic_get(f"{self._name}.state")
            if message is not None:
                channel.basic_reject(message.delivery_tag, requeue=True)
                channel.tx_commit()
                self._state = _readable(message.body)
                return self._state
            time.sleep(PAUSE)
        self._state = State()
        return self._state

    def put(self, name: str, record: Record, posting: Posting | None) -> bool:
        if not self._tokens:
            return False
        if posting is not None:
            if posting.declare is not None:
                self._declare(posting.declare)
            publish_by_kombu(posting, BrokerProducer(self._channel), [])  # type: ignore[no-untyped-call]
        self._state.entries[name] = record
        self._remember()
        return True

    def paused(self) -> set[str]:
        """After it has carried out what was asked for meanwhile, if the seat is ours."""
        channel, changed = self._channel, False
        while self._tokens and (order := channel.basic_get(f"{self._name}.orders")) is not None:
            word, _, name = str(order.body).partition(" ")
            left = [one for one in self._state.paused if one != name]
            self._state.paused = [*left, name] if word == "pause" else left
            channel.basic_ack(order.delivery_tag)
            changed = True
        if changed:
            self._remember()
        return set(self._state.paused)

    def pause(self, name: str, paused: bool) -> None:
        channel = self._open()
        self._declare_memory(channel)
        word = "pause" if paused else "resume"
        message = amqp.Message(f"{word} {name}", content_encoding="utf-8", delivery_mode=2)
        channel.basic_publish(message, "", f"{self._name}.orders")
        channel.tx_commit()

    def _remember(self) -> None:
        self._state.leader = self._node
        message = amqp.Message(write(self._state), content_type="application/json", delivery_mode=2)
        self._channel.basic_publish(message, "", f"{self._name}.state")
        self._channel.tx_commit()

    def _declare_memory(self, channel: Any) -> None:
        channel.queue_declare(
            f"{self._name}.state", durable=True, auto_delete=False, arguments={"x-max-length": 1}
        )
        channel.queue_declare(f"{self._name}.orders", durable=True, auto_delete=False)

    def _declare(self, entity: Queue | Exchange) -> None:
        """On a channel of its own: what is there with other arguments ends the one that asks."""
        if entity.name in self._foreign:
            return
        assert self._connection is not None
        channel = self._connection.channel()  # type: ignore[no-untyped-call]
        try:
            entity(channel).declare()
            channel.close()
        except PreconditionFailed as exc:
            logger.warning("%s is used as it is, not as declared here: %s", entity.name, exc)
        self._foreign.add(entity.name)

    # -- the connection --------------------------------------------------------------------------

    def release(self) -> None:
        """The end of the channel is the end of the seat."""
        self.close()

    def close(self) -> None:
        connection, self._connection, self._channel = self._connection, None, None
        self._tokens, self._joined = [], False
        self._foreign.clear()
        if connection is not None:
            with suppress(Exception):  # what is wrong with it is why it is closed
                connection.release()  # type: ignore[no-untyped-call]

    def _open(self) -> Any:
        if self._channel is None:
            connection = self._app.broker.connection(purpose="broker_write_url")
            # Confirms and transactions exclude each other on a channel.
            connection.transport_options = {**(connection.transport_options or {}), "confirm_publish": False}
            connection.heartbeat = max(int(self._lease / 2.0), 1)
            self._connection = connection
            connect(connection)
            self._channel = connection.default_channel
            self._channel.tx_select()
            self._declare_memory(self._channel)
        return self._channel


def _readable(body: Any) -> State:
    try:
        return read_state(body)
    except (msgspec.DecodeError, TypeError) as exc:
        logger.warning("What RabbitMQ remembers of periodic tasks cannot be read: %s", exc)
        return State()
