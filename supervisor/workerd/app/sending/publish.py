"""Send task messages: write them, find their way, and see them arrive.

The fast way is the connection's outlet; see ``app.outlet``.  Kombu's producer goes first on each connection,
and takes what the outlet does not carry and what it has lost: it declares queues, and it is as patient
with a broker that is away as the settings say.

Errors:  UnavailableError and ConfigError as of ``broker``; kombu's EncodeError for arguments that the
         serializer cannot write.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from amqp.exceptions import PreconditionFailed
from kombu.entity import Exchange, Queue
from kombu.exceptions import SerializerNotInstalled

from workerd.app.events import Events
from workerd.app.sending.broker import Broker
from workerd.app.sending.call import CallOptions
from workerd.app.sending.outlet.base import LinkLostError, Posting, Waiting
from workerd.app.sending.routing import Route, Router
from workerd.app.sending.seats import Seat
from workerd.app.sending.signals import Message, tell_sent, wanted
from workerd.app.settings.conf import Conf
from workerd.errors import ConfigError
from workerd.protocol.outgoing import Draft
from workerd.protocol.parcel import Parcel
from workerd.protocol.serial import can_pack, dump, pack

logger = logging.getLogger("workerd.publish")

TOGETHER = 1000
"""Messages that are gathered at most before they are sent."""

DELIVERY_MODES = {"transient": 1, "persistent": 2}


class Publisher:
    """Publishes drafts to the broker of one app."""

    def __init__(self, conf: Conf, broker: Broker, router: Router, events: Events) -> None:
        self._conf = conf
        self._broker = broker
        self._router = router
        self._events = events
        self._gathered: ContextVar[list[Posting] | None] = ContextVar("workerd_gathered", default=None)
        self._foreign: set[str] = set()  # queues and exchanges that others have made with other arguments

    def send(self, draft: Draft, options: CallOptions, exists: str | None = None) -> None:
        """Publish ``draft``; on AMQP this returns when the broker has confirmed it.

        ``exists`` names a queue that needs no declaration, because the call in progress came from it.
        """
        posting = self.posting(draft, options, exists)
        if options.producer is None and options.connection is None:
            self.post(posting)
            return
        own = options.producer or options.connection.Producer(auto_declare=False)
        with self._broker.reaching():
            self._by_kombu(posting, own)
        self.tell([posting], own)

    def post(self, posting: Posting) -> None:
        """Publish one message over the app's own connections; in ``together`` before that ends."""
        if (gathered := self._gathered.get()) is None:
            self.send_all(Waiting([posting]))
            self._tell_all((posting,))
            return
        gathered.append(posting)
        if len(gathered) >= TOGETHER:
            self._send_gathered(gathered)

    @contextmanager
    def together(self) -> Iterator[None]:
        """What is sent within is sent in few round trips, in its order, the last when the block ends.

        An error of one is raised by a later one or by the end; what came before it has arrived, and what
        came behind it may not have.
        """
        if self._gathered.get() is not None:  # part of a larger one
            yield
            return
        gathered: list[Posting] = []
        token = self._gathered.set(gathered)
        try:
            yield
        finally:
            self._gathered.reset(token)
            self._send_gathered(gathered)

    def _send_gathered(self, gathered: list[Posting]) -> None:
        if not gathered:
            return
        postings = tuple(gathered)
        gathered.clear()
        waiting = Waiting(postings)
        try:
            self.send_all(waiting)
        finally:
            left = set(map(id, waiting.leave()))
            self._tell_all([posting for posting in postings if id(posting) not in left])

    def _tell_all(self, sent: Sequence[Posting]) -> None:
        if self.tells:
            self.tell(sent)

    @property
    def tells(self) -> bool:
        """Somebody wants to know what has been sent."""
        return bool(self._conf.task_send_sent_event) or wanted()

    def tell(self, sent: Iterable[Posting], producer: Any = None) -> None:
        """Send the events and signals of those that have been sent, where such are wanted."""
        if not self.tells:
            return
        for posting in sent:
            if posting.body is not None:
                tell_sent(posting.parcel, posting.body)
            if self._conf.task_send_sent_event:
                self._events.task_sent(posting.parcel, posting.queue, producer)

    def send_all(self, waiting: Waiting) -> None:
        """Publish in their order; after an error the first that is waiting is at fault."""
        with self._broker.seat() as seat:
            while True:
                self._by_outlet(waiting, seat)
                if (posting := waiting.first()) is None:
                    return
                with self._broker.reaching():
                    self._by_kombu(posting, seat.producer)
                    waiting.take()
                    seat.published()

    def posting(self, draft: Draft, options: CallOptions, exists: str | None, number: int = 0) -> Posting:
        """``draft`` as it leaves, and how it is to be sent; it is call ``number`` of those beside it."""
        conf = self._conf
        route = self._router.route(options)
        retry = conf.task_publish_retry if options.retry is None else options.retry
        policy = conf.task_publish_retry_policy
        if options.retry_policy:
            policy = {**policy, **options.retry_policy}
        queue = None if route.queue is None else route.queue.name
        declare = route.declare if queue is None or queue != exists else None
        message = Message(draft, options.priority or 0, policy)
        message.announce(route, declare)
        parcel = self._parcel(message, options, route)
        body = message.body if wanted() else None
        return Posting(parcel, queue, declare, retry, message.policy, number, body)

    def _parcel(self, message: Message, options: CallOptions, route: Route) -> Parcel:
        headers, properties = message.headers, message.properties
        content_type, encoding, body = self._body(message, options)
        if compression := options.compression or self._conf.task_compression:
            if not can_pack(compression):
                raise ConfigError(
                    f"task {headers['task']} cannot be sent: no compression {compression!r}", "use gzip"
                )
            body, headers["compression"] = pack(body, compression)
        exchange = route.exchange.name if isinstance(route.exchange, Exchange) else route.exchange
        mode = options.delivery_mode or route.delivery_mode
        return Parcel(
            exchange=exchange,
            routing_key=route.routing_key,
            content_type=content_type,
            content_encoding=encoding,
            headers=headers,
            correlation_id=properties["correlation_id"],
            reply_to=properties["reply_to"],
            delivery_mode=DELIVERY_MODES[mode] if isinstance(mode, str) else mode,
            expiration=properties.get("expiration"),
            priority=properties["priority"],
            body=body,
            plain=message.plain,
        )

    def _body(self, message: Message, options: CallOptions) -> tuple[str, str, bytes]:
        try:
            return dump(message.body, options.serializer or self._conf.task_serializer)
        except SerializerNotInstalled as exc:
            raise ConfigError(
                f"task {message.headers['task']} cannot be sent: {exc}", "install it or use json"
            ) from exc

    def _by_outlet(self, waiting: Waiting, seat: Seat) -> None:
        """Send what the seat's outlet carries, if there is one."""
        if (outlet := seat.outlet) is None:
            return
        try:
            outlet.send(waiting)
        except LinkLostError as lost:
            seat.hang_up()
            posting = waiting.first()
            # Who wants no second try wants no message twice either.
            if lost.doubtful and posting is not None and not posting.retry:
                raise self._broker.unreachable(lost) from lost

    def _by_kombu(self, posting: Posting, producer: Any) -> None:
        if not posting.parcel.plain:
            # Each transport has another error for what it cannot write.
            dump(posting.parcel.headers, "json")
        declare = posting.declare
        if declare is None or declare.name in self._foreign:
            publish_by_kombu(posting, producer, [])
            return
        try:
            publish_by_kombu(posting, producer, [declare])
        except PreconditionFailed as exc:
            # It is there, made by others with other arguments; the broker has closed the channel.
            kind = "exchange" if isinstance(declare, Exchange) else "queue"
            logger.warning("%s %s is used as it is, not as declared here: %s", kind, declare.name, exc)
            self._foreign.add(declare.name)
            connection = producer.connection
            connection.revive(None)
            producer.revive(connection.default_channel)
            publish_by_kombu(posting, producer, [])


def publish_by_kombu(posting: Posting, producer: Any, declare: list[Queue | Exchange]) -> None:
    parcel = posting.parcel
    producer.publish(
        parcel.body,
        content_type=parcel.content_type,
        content_encoding=parcel.content_encoding,
        headers=parcel.headers,
        exchange=parcel.exchange,
        routing_key=parcel.routing_key,
        correlation_id=parcel.correlation_id,
        reply_to=parcel.reply_to,
        delivery_mode=parcel.delivery_mode,
        expiration=parcel.expiration,
        priority=parcel.priority,
        declare=declare,
        retry=posting.retry,
        retry_policy=posting.policy,
    )
