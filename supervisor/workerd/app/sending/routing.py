"""Where a call goes: its exchange and routing key, and the queue behind them.

Errors:  ConfigError for a queue that is in no setting and may not be made, and for a route that is none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from kombu.entity import Exchange, Queue

from workerd.app.sending.call import CallOptions
from workerd.app.sending.queues import Queues, is_private
from workerd.app.sending.routes import Routes
from workerd.app.settings.conf import Conf


class Route(NamedTuple):
    """Where one message goes; ``declare`` is declared first when there is something to declare."""

    exchange: str | Exchange
    routing_key: str
    queue: Queue | None
    delivery_mode: int | str
    declare: Queue | Exchange | None = None


class Router:
    """The routes of one app, by its settings as they are when asked."""

    def __init__(self, conf: Conf) -> None:
        self._conf = conf
        self.queues = Queues(conf)
        """Every queue of the app by its name."""
        self._routes: tuple[Any, Routes] | None = None  # and the setting that they were made of

    def give(
        self, call: CallOptions, task: str, args: Sequence[Any], kwargs: Mapping[str, Any], kind: Any = None
    ) -> None:
        """Give ``call`` what ``task_routes`` says of it, as far as it says nothing itself.

        ``kind`` is the task, if it is known here.
        """
        if (given := self._conf.task_routes) is not None:
            self._current(given).give(call, task, args, kwargs, kind)

    @property
    def is_fixed(self) -> bool:
        """Whether ``task_routes`` says the same of each call with the same name and options."""
        return self._conf.task_routes is None or self._current(self._conf.task_routes).fixed

    def way(
        self, task: str, call: CallOptions, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Route:
        """Where a call of ``task`` goes; ``call`` gets what ``task_routes`` says of it."""
        self.give(call, task, args, kwargs or {})
        return self.route(call)

    def route(self, options: CallOptions) -> Route:
        """Where a call with these options goes; by default to the default queue."""
        queue, exchange, key = options.queue, options.exchange, options.routing_key
        if queue is None and exchange is None:
            queue = self._conf.task_default_queue
        if queue is None:
            assert exchange is not None
            mode = self._conf.task_default_delivery_mode
            declare = exchange if isinstance(exchange, Exchange) and exchange.name else None
            return Route(exchange, key or self._default_key(), None, mode, declare)
        return self._to_queue(self.queue(queue), exchange, key)

    def queue(self, queue: str | Queue) -> Queue:
        """The declared form of a queue: from ``task_queues``, by name or alias, or one made for its name."""
        return queue if isinstance(queue, Queue) else self.queues[queue]

    def queue_names(self) -> tuple[str, ...]:
        """The queues that a worker of this app consumes."""
        return self.queues.names

    def _current(self, given: Any) -> Routes:
        if self._routes is None or self._routes[0] is not given:
            self._routes = (given, Routes(given))
        return self._routes[1]

    def _to_queue(self, queue: Queue, exchange: Any, key: str | None) -> Route:
        mode = queue.exchange.delivery_mode or self._conf.task_default_delivery_mode
        declare = queue.exchange if is_private(queue) else queue
        if queue.exchange.type == "direct" and not (exchange and key):
            # The anonymous exchange reaches a queue by its name without any binding.
            return Route("", queue.name, queue, mode, declare)
        exchange = exchange if exchange is not None else queue.exchange.name
        return Route(exchange, key or queue.routing_key or self._default_key(), queue, mode, declare)

    def _default_key(self) -> str:
        return str(self._conf.task_default_routing_key or self._conf.task_default_queue)
