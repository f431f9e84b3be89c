"""What a step may do to the tasks of its consumer: to their queues, their messages, and how often they begin.

All of it outlives the link, and is the same over the next one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from workerd.bootsteps.attributes import FromStep
from workerd.delivery import Bucket, Buckets, TokenBucket
from workerd.protocol.rate import parse_rate
from workerd.worker.consumer.on_task_message import RequestCallbacks
from workerd.worker.consumer.strategies import Strategies
from workerd.worker.consumer.task_message import have_run
from workerd.worker.consumer.task_qos import TaskQoS
from workerd.worker.consumer.task_queues import TaskQueues
from workerd.worker.consumer.task_rates import TaskRates

if TYPE_CHECKING:
    from kombu.entity import Queue

    from workerd.app import App, Task
    from workerd.broadcast import Broadcast
    from workerd.delivery import Request
    from workerd.source.base import TaskSource
    from workerd.worker.consumer.task_consumer import TaskConsumer
    from workerd.worker.controller import WorkController
    from workerd.worker.loop.scope import Scope

logger = logging.getLogger(__name__)


class TaskSurface:
    """The part of the consumer that is for tasks; ``c`` has all of it."""

    app: App
    """The app as the supervisor has imported it."""
    controller: WorkController
    """The worker that has made this consumer."""
    scope: Scope
    connection: FromStep[Any] = FromStep("Connection")
    """kombu's; None while there is none.  Its channels serve consumers and producers of steps."""
    task_consumer: FromStep[TaskConsumer | None] = FromStep("Tasks")
    """What consumes the task queues over this link; None while there is none."""
    broadcast: Broadcast | None
    task_source: FromStep[TaskSource | None] = FromStep("Tasks")

    def __init__(self, worker: WorkController) -> None:
        self._dispatcher = worker.dispatcher
        self.task_queues = TaskQueues(worker.app, worker.dispatcher, worker.hostname)
        self.task_rates = TaskRates(worker.app, worker.dispatcher)
        self.strategies = Strategies(have_run)
        """Who is given the messages of each task, by its name; a step may put in its own."""
        self.qos = TaskQoS(worker.dispatcher)
        """How many messages of tasks are held here at most."""
        self.on_task_message = worker.dispatcher.intake.callbacks = RequestCallbacks(worker)
        """A set of functions of steps, each called with every request that is taken in."""

    # -- queues ----------------------------------------------------------------------------------

    @property
    def queues(self) -> list[str]:
        """The names of the queues that are consumed, or will be over the next link."""
        return self.task_queues.names

    def add_task_queue(
        self,
        queue: str | Queue,
        exchange: str | None = None,
        exchange_type: str | None = None,
        routing_key: str | None = None,
        **options: Any,
    ) -> None:
        """Consume ``queue`` from now on, also over the links that follow; ``options`` are kombu's of a queue.

        One that the app defines is taken as it is defined; else it is declared, by default with a direct
        exchange of its own name.  Errors: UsageError when the broker does not let us have it.
        """
        how = {"exchange": exchange, "exchange_type": exchange_type, "routing_key": routing_key, **options}
        try:
            added = self.task_queues.add(queue, self.connection, self.task_source, self.broadcast, **how)
        except Exception as exc:
            if not self.scope.report(exc):
                raise
            return  # wanted, and declared over the next link
        if added:
            logger.info("Started consuming from %s", added)

    def cancel_task_queue(self, queue: str) -> None:
        """Consume ``queue`` no more, over this link and those that follow; what is here from it is run."""
        if cancelled := self.task_queues.cancel(queue, self.task_source):
            logger.info("Canceling queue %s", cancelled)

    # -- code ------------------------------------------------------------------------------------

    def update_strategies(self) -> None:
        """Take up the tasks of the code that serves: which there are, and how often they begin."""
        in_code = [name for lane in self._dispatcher.lanes.values() for name in lane.tasks]
        self.strategies.know(in_code or self.app.tasks)
        self.reset_rate_limits()

    # -- rates -----------------------------------------------------------------------------------

    @property
    def task_buckets(self) -> Buckets:
        """What limits each task, by its name; None for one without a limit.

        Any object with ``consume(tokens)`` and ``expected_time(tokens)`` may be put in, and stays over
        ``reset_rate_limits`` and reloads.
        """
        return self._dispatcher.rates.buckets

    @task_buckets.setter
    def task_buckets(self, buckets: Mapping[str, Bucket | None]) -> None:
        for task in {*self.task_buckets, *buckets}:
            self.task_buckets[task] = buckets.get(task)

    @property
    def disable_rate_limits(self) -> bool:
        """The app's setting ``worker_disable_rate_limits``."""
        return not self.task_rates.enabled

    def reset_rate_limits(self) -> None:
        """Take up what steps have set as ``rate_limit`` of the app's tasks; it goes before the code's."""
        self.task_rates.reset()

    def bucket_for_task(self, type: Task, Bucket: Callable[..., Any] = TokenBucket) -> Any:  # noqa: A002, N803
        """A new bucket for the rate limit of this task, None if it has none.  Errors: ValueError."""
        rate = parse_rate(type.rate_limit)
        return Bucket(rate, capacity=1) if rate else None

    # -- requests --------------------------------------------------------------------------------

    def apply_eta_task(self, request: Request) -> None:
        """Do not wait for the ETA of ``request`` any more: it is the next but for those that wait already."""
        self._dispatcher.due(request)
