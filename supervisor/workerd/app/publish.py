"""Send a task message: choose its queue, declare it, publish it.

Errors:  UnavailableError and ConfigError as of ``broker``; kombu's EncodeError for arguments that the
         serializer cannot write.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from amqp.exceptions import PreconditionFailed
from kombu.entity import Exchange, Queue
from kombu.exceptions import SerializerNotInstalled

from workerd.app.broker import Broker
from workerd.app.call import CallOptions
from workerd.app.conf import Conf
from workerd.errors import ConfigError
from workerd.protocol.outgoing import Draft
from workerd.protocol.serial import can_pack

logger = logging.getLogger("workerd.publish")


class Route(NamedTuple):
    """Where one message goes; ``queue`` is declared first when there is one."""

    exchange: Any
    routing_key: str
    queue: Queue | None
    delivery_mode: Any


class Publisher:
    """Publishes drafts to the broker of one app."""

    def __init__(self, conf: Conf, broker: Broker) -> None:
        self._conf = conf
        self._broker = broker
        self._foreign: set[str] = set()  # queues that others have made with other arguments

    def send(self, draft: Draft, options: CallOptions, exists: str | None = None) -> None:
        """Publish ``draft``; on AMQP this returns when the broker has confirmed it.

        ``exists`` names a queue that needs no declaration, because the call in progress came from it.
        """
        route = self.route(draft.task, options)
        compression = options.compression or self._conf.task_compression
        if compression and not can_pack(compression):
            raise ConfigError(f"task {draft.task} cannot be sent: no compression {compression!r}", "use gzip")
        words = self._words(draft, options, route)
        declared = route.queue if route.queue is not None and route.queue.name != exists else None
        with self._broker.reaching(), self._producer(options) as producer:
            try:
                self._publish(producer, draft, words, declared)
            except SerializerNotInstalled as exc:
                raise ConfigError(
                    f"task {draft.task} cannot be sent: {exc}", "install it or use json"
                ) from exc

    def _publish(self, producer: Any, draft: Draft, words: dict[str, Any], queue: Queue | None) -> None:
        body = draft.wire_body()
        if queue is None or queue.name in self._foreign:
            producer.publish(body, declare=[], **words)
            return
        try:
            producer.publish(body, declare=[queue], **words)
        except PreconditionFailed as exc:
            # The queue is there, made by others with other arguments; the broker has closed the channel.
            logger.warning("queue %s is used as it is, not as declared here: %s", queue.name, exc)
            self._foreign.add(queue.name)
            connection = producer.connection
            connection.revive(None)
            producer.revive(connection.default_channel)
            producer.publish(body, declare=[], **words)

    def _words(self, draft: Draft, options: CallOptions, route: Route) -> dict[str, Any]:
        conf = self._conf
        return {
            "exchange": route.exchange,
            "routing_key": route.routing_key,
            "headers": draft.wire_headers(),
            "serializer": options.serializer or conf.task_serializer,
            "compression": options.compression or conf.task_compression,
            "delivery_mode": options.delivery_mode or route.delivery_mode,
            "priority": options.priority or 0,
            "retry": conf.task_publish_retry if options.retry is None else options.retry,
            "retry_policy": {**conf.task_publish_retry_policy, **(options.retry_policy or {})},
            **draft.wire_properties(),
        }

    def route(self, task: str, options: CallOptions) -> Route:
        """Where a call of ``task`` goes: its own options first, then ``task_routes``, then the default."""
        chosen = self._routed(task) if options.queue is None and options.exchange is None else {}
        queue = options.queue if options.queue is not None else chosen.get("queue")
        exchange = options.exchange if options.exchange is not None else chosen.get("exchange")
        key = options.routing_key or chosen.get("routing_key")
        if queue is None and exchange is None:
            queue = self._conf.task_default_queue
        if queue is None:
            return Route(exchange, key or self._default_key(), None, self._conf.task_default_delivery_mode)
        return self._to_queue(self.queue(queue), exchange, key)

    def queue(self, queue: str | Queue) -> Queue:
        """The declared form of a queue: from ``task_queues``, or one made for its name."""
        if isinstance(queue, Queue):
            return queue
        for known in self._conf.task_queues or ():
            if isinstance(known, Queue) and known.name == queue:
                return known
        names = [known if isinstance(known, str) else known.name for known in self._conf.task_queues or ()]
        if names and queue not in names and not self._conf.task_create_missing_queues:
            raise ConfigError(f"queue {queue!r} is not in task_queues", "add it, or name another")
        return self._made(queue)

    def queue_names(self) -> tuple[str, ...]:
        """The queues that a worker of this app consumes."""
        known = self._conf.task_queues
        if not known:
            return (self._conf.task_default_queue,)
        return tuple(queue if isinstance(queue, str) else queue.name for queue in known)

    def _made(self, name: str) -> Queue:
        conf, exchange, key = self._conf, name, name
        if name == conf.task_default_queue:
            exchange = conf.task_default_exchange or name
            key = conf.task_default_routing_key or name
        return Queue(  # type: ignore[no-untyped-call]
            name,
            exchange=Exchange(exchange, type=conf.task_default_exchange_type),  # type: ignore[no-untyped-call]
            routing_key=key,
            max_priority=conf.task_queue_max_priority,
        )

    def _to_queue(self, queue: Queue, exchange: Any, key: str | None) -> Route:
        mode = queue.exchange.delivery_mode or self._conf.task_default_delivery_mode
        direct = queue.exchange.type == "direct"
        if not exchange and not key and direct:
            # The anonymous exchange reaches a queue by its name without any binding.
            return Route("", queue.name, queue, mode)
        exchange = exchange if exchange is not None else queue.exchange.name
        return Route(exchange, key or queue.routing_key or self._default_key(), queue, mode)

    def _default_key(self) -> str:
        return str(self._conf.task_default_routing_key or self._conf.task_default_queue)

    def _routed(self, task: str) -> Mapping[str, Any]:
        for pattern, route in (self._conf.task_routes or {}).items():
            if matches(pattern, task):
                return {"queue": route} if isinstance(route, (str, Queue)) else route
        return {}

    def _producer(self, options: CallOptions) -> Any:
        if options.connection is not None:
            return self._broker.producer(options.connection.Producer(auto_declare=False))
        return self._broker.producer(options.producer)


def matches(pattern: str | re.Pattern[str], task: str) -> bool:
    """True when a key of ``task_routes`` (a name, a glob or a compiled pattern) means ``task``."""
    if isinstance(pattern, re.Pattern):
        return pattern.match(task) is not None
    return pattern == task or fnmatchcase(task, pattern)
