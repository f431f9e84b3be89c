"""The queues of an app, each as it is declared: those of the settings, and those that are made for a name.

Errors:  ConfigError for a queue that is in no setting and may not be made.
"""

from __future__ import annotations

from typing import Any

from kombu.common import Broadcast
from kombu.entity import Exchange, Queue

from workerd.app.settings.conf import Conf
from workerd.errors import ConfigError

QUORUM = {"x-queue-type": "quorum"}

DIRECT_EXCHANGE = "C.dq2"
"""Celery's, for the queues of single nodes."""


class Queues:
    """Of one app, by its settings as they are when asked."""

    def __init__(self, conf: Conf) -> None:
        self._conf, self._version = conf, -1
        self._known: dict[str, Queue] = {}  # by name
        self._aliases: dict[str, Queue] = {}
        self._made: dict[str, Queue] = {}  # to make one takes as long as to write a message

    def __getitem__(self, name: str) -> Queue:
        """The queue of that name or alias."""
        if (found := self.defined(name) or self._made.get(name)) is not None:
            return found
        if not self._conf.task_create_missing_queues:
            raise ConfigError(
                f"queue {name!r} is not in task_queues, and task_create_missing_queues is False",
                "add it, or name another",
            )
        return self._made.setdefault(name, self._missing(name))

    def defined(self, name: str) -> Queue | None:
        """The same, if the settings name it."""
        self._refresh()
        return self._known.get(name) or self._aliases.get(name)

    @property
    def names(self) -> tuple[str, ...]:
        """Those that a worker of this app consumes; what each process has of its own, by its alias."""
        self._refresh()
        known: dict[str, Any] = dict(self._known)
        return tuple(queue.alias if is_private(queue) else name for name, queue in known.items())

    def _refresh(self) -> None:
        if self._version == self._conf.version:
            return
        self._version = self._conf.version
        self._made.clear()
        given = self._conf.task_queues
        known = [self._complete(one) for one in given] if given else [self._default()]
        self._known = {str(queue.name): queue for queue in known}
        aliases: list[Any] = [queue for queue in known if getattr(queue, "alias", None)]
        self._aliases = {str(queue.alias): queue for queue in aliases}

    def _complete(self, given: Queue | str) -> Queue:
        """What the app's queue leaves open is the default exchange's and key's; its own object stays."""
        if isinstance(given, str):
            return self._missing(given)
        queue: Any = object.__new__(type(given))
        queue.__dict__.update(given.__dict__)
        if not queue.exchange or not queue.exchange.name:
            queue.exchange = self._default_exchange()
        if not queue.routing_key:
            queue.routing_key = self._default_key()
        return self._with_priorities(queue)

    def _default(self) -> Queue:
        conf = self._conf
        arguments = QUORUM if conf.task_default_queue_type == "quorum" else None
        return self._queue(conf.task_default_queue, self._default_exchange(), self._default_key(), arguments)

    def _missing(self, name: str) -> Queue:
        conf = self._conf
        kind = conf.task_create_missing_queue_exchange_type or "direct"
        arguments = QUORUM if conf.task_create_missing_queue_type == "quorum" else None
        exchange = Exchange(name, type=kind)  # type: ignore[no-untyped-call]
        return self._queue(name, exchange, name, arguments)

    def _queue(self, name: str, exchange: Exchange, key: str, arguments: dict[str, Any] | None) -> Queue:
        made = Queue(  # type: ignore[no-untyped-call]
            name, exchange=exchange, routing_key=key, queue_arguments=dict(arguments) if arguments else None
        )
        return self._with_priorities(made)

    def _with_priorities(self, queue: Any) -> Queue:
        most, arguments = self._conf.task_queue_max_priority, queue.queue_arguments or {}
        own = queue.max_priority is not None or "x-max-priority" in arguments
        # A quorum queue has two priorities by itself, and RabbitMQ refuses to be told of others.
        if most is not None and not own and arguments.get("x-queue-type") != "quorum":
            queue.max_priority = most
        found: Queue = queue
        return found

    def _default_exchange(self) -> Exchange:
        conf = self._conf
        name = conf.task_default_exchange or conf.task_default_queue
        return Exchange(name, type=conf.task_default_exchange_type)  # type: ignore[no-untyped-call]

    def _default_key(self) -> str:
        return str(self._conf.task_default_routing_key or self._conf.task_default_queue)


def worker_direct(node: str | Queue) -> Queue:
    """The queue that only the daemon (or Celery worker) of this name consumes: ``main@host``.

    It does so where its app has set ``worker_direct``.
    """
    if isinstance(node, Queue):
        return node
    exchange = Exchange(DIRECT_EXCHANGE)  # type: ignore[no-untyped-call]
    made: Queue = Queue(f"{node}.dq2", exchange, node)  # type: ignore[no-untyped-call]
    return made


def is_private(queue: Queue) -> bool:
    """Whether each process that consumes it has one of its own, so that nobody declares it for others."""
    return isinstance(queue, Broadcast)


def is_plain(queue: Any) -> bool:
    """Whether nothing about it is said but its name: bound by that to a direct exchange of that name."""
    exchange = queue.exchange
    said = (
        queue.queue_arguments,
        queue.binding_arguments,
        queue.consumer_arguments,
        queue.bindings,
        queue.alias,
    )
    limits = (queue.expires, queue.message_ttl, queue.max_length, queue.max_length_bytes, queue.max_priority)
    return (
        (exchange.name, exchange.type, queue.routing_key) == (queue.name, "direct", queue.name)
        and queue.durable
        and not (queue.exclusive or queue.auto_delete or any(said))
        and all(limit is None for limit in limits)
        and exchange.durable
        and not (exchange.auto_delete or exchange.arguments or exchange.no_declare or queue.no_declare)
    )
