"""``AmqpBroadcast``: exchanges and exclusive queues over the consumer's connection to RabbitMQ.

What is told leaves over a connection of its own, so that a broker that is short of memory and reads no
publishes holds up no acknowledgement.  Each station has a channel of its own: what the broker refuses there
closes that channel and nothing else.

Units:  seconds.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from amqp.basic_message import Message
from amqp.exceptions import AccessRefused, ChannelError, ResourceLocked
from kombu import entity, messaging

from workerd.broadcast.base import MOST_WAITING, Exchange, Heard, Notice, OnHeard, Station
from workerd.source.amqp.outgoing import Route
from workerd.source.amqp.publisher import Publisher
from workerd.source.amqp.pulse import Pulse
from workerd.transport.loop import Cancelable, Loop

if TYPE_CHECKING:
    from kombu.connection import Connection

logger = logging.getLogger(__name__)

AGAIN = 5.0
"""Until a queue that is in use is tried again: a link of ours that was lost may have it still."""

MUCH_LATER = 60.0
"""Until another refusal is tried again."""

WHAT = "Events and answers to other nodes"
WINDOW = 256 * 1024
"""Bytes that are sent and not confirmed: a busy node tells as much in one turn of its loop."""

# kombu has no types.
_Queue: Any = entity.Queue
_Exchange: Any = entity.Exchange
_Consumer: Any = messaging.Consumer


class Ear:
    """One station's channel; what is heard goes to ``on_message``."""

    def __init__(self, connection: Any, station: Station, on_message: Callable[[Any], object]) -> None:
        self.station, self.closed = station, False
        self._connection, self._on_message = connection, on_message
        self._channel: Any = None

    def open(self) -> None:
        """Declare and consume; waits for the broker.  Errors: py-amqp's."""
        station, channel = self.station, self._connection.channel()
        queue = _Queue(
            station.queue,
            exchange=_exchange(station.exchange),
            routing_key=station.key,
            durable=False,
            exclusive=True,
            auto_delete=True,
            expires=station.expires,
            message_ttl=station.message_ttl,
        )
        _Consumer(channel, [queue], no_ack=True, on_message=self._on_message).consume()
        self._channel = channel

    def close(self) -> None:
        """Hear nothing more.  Does not wait for the broker, which may be frozen.

        Without its consumer the queue is gone; the channel ends with the connection.
        """
        self.closed, channel, self._channel = True, self._channel, None
        if channel is not None:
            for tag in list(channel.callbacks):
                channel.basic_cancel(tag, nowait=True)


class AmqpBroadcast:
    """A ``Broadcast`` over a connected kombu ``connection``."""

    def __init__(self, connection: Connection, loop: Loop) -> None:
        self.dropped = 0
        self._connection: Any = connection
        self._loop = loop
        self._publisher = Publisher(connection, loop, self._feel_pulse, WHAT, WINDOW)
        self._pulse: Pulse | None = None
        self._flying = 0
        self._forbidden: set[str] = set()  # exchanges that this user may not declare, and so not use
        self._told: set[str] = set()
        self._retries: dict[Ear, Cancelable] = {}
        self._closed = False

    @property
    def hears(self) -> bool:
        return not self._closed  # over the consumer's connection, whose loss ends all this

    def declare(self, exchange: Exchange) -> None:
        try:
            with self._connection.channel() as channel:
                _exchange(exchange)(channel).declare()
        except AccessRefused as exc:
            # To publish without a right costs the channel, again and again.
            self._forbidden.add(exchange.name)
            self._tell_refusal(exchange.name, f"nothing is told through exchange {exchange.name}: {exc}")
        except ChannelError as exc:
            self._tell_refusal(exchange.name, f"exchange {exchange.name} is used as it is: {exc}")

    # -- listening -------------------------------------------------------------------------------

    def listen(self, station: Station, on_heard: OnHeard) -> Callable[[], None]:
        ear = Ear(self._connection, station, partial(self._heard, on_heard))
        self._listen(ear)
        return partial(self._ignore, ear)

    def _listen(self, ear: Ear) -> None:
        self._retries.pop(ear, None)
        if self._closed or ear.closed:
            return
        try:
            ear.open()
        except ChannelError as exc:
            self._refused(ear, exc)

    def _ignore(self, ear: Ear) -> None:
        if not self._closed:
            ear.close()

    def _heard(self, on_heard: OnHeard, message: Any) -> None:
        # Not from inside the link's read: what is raised there counts as the loss of the link.
        self._loop.call_soon(on_heard, heard_of(message))

    def _refused(self, ear: Ear, exc: ChannelError) -> None:
        """A queue of that name may be another node's, or still that of a link of ours that was lost."""
        queue = ear.station.queue
        why, again = f"cannot listen at {queue}: {exc}", MUCH_LATER
        if isinstance(exc, ResourceLocked):
            why = f"queue {queue} is in use: another node seems to have this node's name"
            again = AGAIN
        self._tell_refusal(queue, f"{why}; trying again")
        self._retries[ear] = self._loop.call_later(again, self._listen, ear)

    def _tell_refusal(self, name: str, text: str) -> None:
        if name not in self._told:
            self._told.add(name)
            logger.warning("RabbitMQ: %s", text)

    def keep(self, exchange: str, queue: str) -> bool:
        """Nothing: the queue is bound to the exchange."""
        return False

    # -- telling ---------------------------------------------------------------------------------

    def tell(self, notice: Notice) -> None:
        if self._flying >= MOST_WAITING or self._closed or notice.exchange in self._forbidden:
            self.dropped += 1
            return
        self._flying += 1
        route = Route(notice.exchange, notice.key, self._dropped, mandatory=False)
        self._publisher.publish("", _nothing, _message(notice), self._landed, route)

    def answer(self, notice: Notice) -> None:
        self.tell(notice)

    def _landed(self) -> None:
        self._flying -= 1

    def _dropped(self) -> None:
        self._flying -= 1
        self.dropped += 1

    def _feel_pulse(self, then: Any) -> None:
        if self._closed:
            return
        if self._pulse is None:
            self._pulse = Pulse(self._connection.connection)
        self._pulse.ask(partial(self._loop.call_soon, then))

    def close(self, *, lost: bool = False) -> None:
        # The channels end with the connection.
        if self._closed:
            return
        self._closed = True
        for retry in self._retries.values():
            retry.cancel()
        if not lost:
            self._publisher.flush()
        self._publisher.close(lost=lost)


def heard_of(message: Any) -> Heard:
    """What a message of kombu's holds, undecoded."""
    body = message.body
    return Heard(
        key=message.delivery_info.get("routing_key") or "",
        body=body.encode("utf-8", "surrogatepass") if isinstance(body, str) else bytes(body),
        headers=message.headers or {},
        content_type=message.content_type or "application/json",
        content_encoding=message.content_encoding or "utf-8",
    )


def _exchange(exchange: Exchange) -> Any:
    return _Exchange(exchange.name, type=exchange.kind, durable=exchange.durable)


def _message(notice: Notice) -> Message:
    return Message(
        notice.body,
        application_headers=dict(notice.headers),
        content_type=notice.content_type,
        content_encoding=notice.content_encoding,
        delivery_mode=notice.delivery_mode,
        priority=0,
    )


def _nothing(_connection: Any, _queue: str) -> None:
    """A route is not declared."""
