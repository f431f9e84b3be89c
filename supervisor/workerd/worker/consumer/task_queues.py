"""The queues that this daemon wants to consume, as they are added and cancelled while it runs.

What is wanted outlives every link: which queues, the dispatcher knows in the lanes of the pools; how those
are bound that are in no setting and are more than a name, is kept here.  A generation begins with all of it.

Units:   seconds.
Errors:  UsageError from ``add`` for a queue that the broker does not let us have; it is not wanted then.
         ConfigError for one that the broker cannot have.  The connection's own from ``declare``.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from amqp.exceptions import ChannelError
from kombu import entity

from workerd.app.sending.queues import is_plain, worker_direct
from workerd.errors import ConfigError, UsageError
from workerd.transport.kinds import kind_of

if TYPE_CHECKING:
    from workerd.app import App
    from workerd.broadcast import Broadcast
    from workerd.delivery import Dispatcher
    from workerd.source.base import TaskSource

logger = logging.getLogger(__name__)

# kombu has no types.
_Queue: Any = entity.Queue
_Exchange: Any = entity.Exchange

UNUSED = 3600.0
"""After so long without a consumer RabbitMQ deletes the queues that are this daemon's alone."""


class TaskQueues:
    """Adds and cancels queues for one consumer; ``node`` has one of its own where the app says so."""

    def __init__(self, app: App, dispatcher: Dispatcher, node: str = "") -> None:
        self._app, self._dispatcher = app, dispatcher
        self._bound: dict[str, Any] = {}  # queues of kombu's, by name, that are more than a name
        self._foreign: set[str] = set()  # others have made them with other arguments
        if app.conf.worker_direct and node:
            direct = worker_direct(node)
            self._bound[direct.name] = direct
            dispatcher.default.add_queue(direct.name)

    @property
    def names(self) -> list[str]:
        """What is consumed, or will be over the next link; pool by pool."""
        return [queue for lane in self._dispatcher.lanes.values() for queue in lane.queues]

    def declare(self, connection: Any, broadcast: Broadcast | None = None) -> None:
        """Declare what is more than a name, and hear what is told to fanout exchanges of Redis; waits for the
        broker."""
        for name in self.names:
            self._declare(connection, self.queue(name), broadcast)

    def queue(self, name: str) -> Any:
        """That queue as it is declared, an object of kombu's."""
        return self._known(name) or self._bound.get(name) or self._app.queue(name)

    def add(
        self,
        wanted: Any,
        connection: Any,
        source: TaskSource | None,
        broadcast: Broadcast | None = None,
        **how: Any,
    ) -> str:
        """Consume a queue (by name, or kombu's object), over this link, if there is one, and all that follow.

        ``how`` it is bound counts for a name that the app does not define.  The queue's own name, or nothing
        when it is consumed already.
        """
        queue = wanted if isinstance(wanted, _Queue) else self._known(wanted)
        if queue is None and any(how.values()):
            queue = _made(wanted, **how)
        name = str(wanted if queue is None else queue.name)
        lane = self._dispatcher.lane_of_queue(name)
        if name in lane.queues:
            return ""
        lane.add_queue(name)
        if queue is not None:
            self._bound[name] = queue
        if source is not None:
            try:
                self._declare(connection, self.queue(name), broadcast)
                source.add_queue(lane.name, name)
            except (ChannelError, ConfigError) as exc:
                lane.cancel_queue(name)
                raise UsageError(
                    f"queue {name!r} cannot be consumed: {exc}", "check the user's rights"
                ) from exc
        return name

    def cancel(self, name: str, source: TaskSource | None) -> str:
        """Consume that queue no more; what is here from it is run.

        The queue's own name, or nothing when it is not consumed.
        """
        queue = self._known(name)
        name = str(queue.name) if queue is not None else name
        lane = self._dispatcher.lane_of_queue(name)
        if name not in lane.queues:
            return ""
        lane.cancel_queue(name)
        if source is not None:
            source.cancel_queue(name)
        return name

    def _known(self, name: str) -> Any:
        """The queue of that name or alias, if the app's settings define it."""
        return self._app.router.queues.defined(name)

    def _declare(self, connection: Any, queue: Any, broadcast: Broadcast | None) -> None:
        """What is no more than a name, the task source declares where the broker wants to know it."""
        if is_plain(queue):
            return
        if queue.exchange.type == "fanout" and broadcast is not None:
            if broadcast.keep(queue.exchange.name, queue.name):
                return
        elif queue.exchange.type == "headers" and kind_of(connection) == "redis":
            raise ConfigError(
                f"queue {queue.name!r} is bound to a headers exchange, which Redis does not have",
                "use RabbitMQ, or another exchange_type",
            )
        try:
            with connection.channel() as channel:
                _lasting(queue)(channel).declare()
        except connection.channel_errors as exc:
            # Others have made it with other arguments, or we may use it and not declare it.
            if queue.name not in self._foreign:
                self._foreign.add(queue.name)
                logger.warning("Queue %s is used as it is, not as it is defined: %s", queue.name, exc)


def _lasting(queue: Any) -> Any:
    """The queue, which does not end while it is not consumed for a moment because nothing more is wanted."""
    if not queue.auto_delete:
        return queue
    made = object.__new__(type(queue))
    made.__dict__.update(queue.__dict__, auto_delete=False, expires=queue.expires or UNUSED)
    return made


def _made(
    name: str,
    exchange: str | None = None,
    exchange_type: str | None = None,
    routing_key: str | None = None,
    **options: Any,
) -> Any:
    """A durable queue of that name; it is bound by its own name where nothing else is said."""
    bound = _Exchange(exchange or name, exchange_type or "direct")
    return _Queue(name, bound, routing_key or name, **options)
