"""The queues that this daemon wants to consume, as they are added and cancelled while it runs.

What is wanted outlives every link: which queues, the dispatcher knows in the lanes of the pools; how those
are bound that are more than a name, is kept here.  A generation begins with all of it.

Errors:  UsageError from ``add`` for a queue that the broker does not let us have; it is not wanted then.
         The connection's own from ``declare``.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from amqp.exceptions import ChannelError
from kombu import entity

from workerd.errors import UsageError

if TYPE_CHECKING:
    from workerd.app import App
    from workerd.delivery import Dispatcher
    from workerd.source.base import TaskSource

logger = logging.getLogger(__name__)

# kombu has no types.
_Queue: Any = entity.Queue
_Exchange: Any = entity.Exchange


class TaskQueues:
    """Adds and cancels queues for one consumer."""

    def __init__(self, app: App, dispatcher: Dispatcher) -> None:
        self._app, self._dispatcher = app, dispatcher
        self._bound: dict[str, Any] = {}  # queues of kombu's, by name, that are more than a name
        self._foreign: set[str] = set()  # others have made them with other arguments

    @property
    def names(self) -> list[str]:
        """What is consumed, or will be over the next link; pool by pool."""
        return [queue for lane in self._dispatcher.lanes.values() for queue in lane.queues]

    def declare(self, connection: Any) -> None:
        """Declare what is more than a name; waits for the broker."""
        for name in self.names:
            queue = self._known(name) or self._bound.get(name)
            if queue is not None:
                self._declare(connection, queue)

    def add(self, name: str, connection: Any, source: TaskSource | None, **how: Any) -> str:
        """Consume that queue, over this link, if there is one, and all that follow.

        ``how`` it is bound counts for a queue that the app does not define.  The queue's own name, or nothing
        when it is consumed already.
        """
        queue = self._known(name) or (_made(name, **how) if any(how.values()) else None)
        name = str(queue.name) if queue is not None else name
        lane = self._dispatcher.lane_of_queue(name)
        if name in lane.queues:
            return ""
        lane.add_queue(name)
        if queue is not None:
            self._bound[name] = queue
        if source is not None:
            try:
                if queue is not None:
                    self._declare(connection, queue)
                source.add_queue(lane.name, name)
            except ChannelError as exc:
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
        """The queue of that name or alias, if the app defines it."""
        defined: list[Any] = [one for one in self._app.conf.task_queues or () if isinstance(one, _Queue)]
        return next((one for one in defined if name in (one.name, one.alias)), None)

    def _declare(self, connection: Any, queue: Any) -> None:
        try:
            with connection.channel() as channel:
                queue(channel).declare()
        except connection.channel_errors as exc:
            # Others have made it with other arguments, or we may use it and not declare it.
            if queue.name not in self._foreign:
                self._foreign.add(queue.name)
                logger.warning("Queue %s is used as it is, not as it is defined: %s", queue.name, exc)


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
