"""The daemon as a member of a cluster: what remote control acts on.

Units:  seconds; times that travel are Unix time.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from workerd.delivery import Request, Stage
from workerd.delivery.revokes import stamps_of
from workerd.events.dispatcher import TASK
from workerd.worker.consumer.heart import SOFTWARE
from workerd.worker.remote.about import report, settings
from workerd.worker.remote.stats import stats
from workerd.worker.task_limits import replace_time_limits

if TYPE_CHECKING:
    from workerd.clock import LogicalClock
    from workerd.worker.controller import WorkController

UNASKED = 5.0
"""Seconds until the next heartbeat that is promised where none is sent unasked; Celery promises as much."""

Stamps = Mapping[str, Collection[Any]]


class CommandState(msgspec.Struct, frozen=True):
    """What a command of the app is given."""

    app: Any
    hostname: str
    consumer: Any
    tset: type[set[Any]] = set
    """Celery's name for the type of sets of requests."""


class ClusterNode:
    """Implements ``control.remote.node.Node``."""

    def __init__(self, worker: WorkController) -> None:
        self.worker = worker

    @property
    def hostname(self) -> str:
        return self.worker.hostname

    @property
    def clock(self) -> LogicalClock:
        return self.worker.app.clock

    # -- looks -----------------------------------------------------------------------------------

    def held(self, stage: Stage) -> list[Request]:
        self.worker.see_begun()
        return self.worker.dispatcher.table.in_stage(stage)

    def with_ids(self, ids: Collection[str]) -> list[Request]:
        wanted = frozenset(ids)
        self.worker.see_begun()
        return [request for request in self.worker.dispatcher.table if request.id in wanted]

    def tasks(self) -> Mapping[str, Any]:
        """The app's own tasks where the supervisor has them, else what their template told of them."""
        own, known = self.worker.app.tasks, dict(self.worker.dispatcher.default.tasks)
        return {name: own.get(name, options) for name, options in known.items()}

    def stats(self) -> dict[str, Any]:
        return stats(self.worker)

    def queues(self) -> list[dict[str, Any]]:
        known: list[Any] = [*map(self.worker.consumer.task_queues.queue, self.worker.consumer.queues)]
        return [queue.as_dict(recurse=True) for queue in known]

    def conf(self, with_defaults: bool) -> dict[str, Any]:
        return settings(self.worker.app.conf, with_defaults)

    def report(self) -> str:
        return report(self.worker)

    def memory(self) -> str:
        import psutil  # noqa: PLC0415 (for this answer alone)

        return f"{psutil.Process().memory_info().rss / (1 << 20):.3f}MB"

    def state(self) -> CommandState:
        return CommandState(self.worker.app, self.hostname, self.worker.consumer)

    # -- revoking --------------------------------------------------------------------------------

    def revoke(self, ids: Collection[str]) -> None:
        wanted = frozenset(ids)
        self.worker.dispatcher.revokes.add(ids)
        self.worker.dispatcher.orders.revoke_waiting(lambda request: request.id in wanted)

    def revoked(self) -> list[str]:
        return self.worker.dispatcher.revokes.ids

    def merge_revoked(self, ids: Sequence[str]) -> None:
        known = self.worker.dispatcher.revokes
        # What is known keeps its own age, else nodes would keep each other's ids alive for ever.
        self.revoke([task_id for task_id in ids if task_id not in known])

    def revoke_stamped(self, stamps: Stamps) -> None:
        self.worker.dispatcher.revokes.add_stamps(stamps)
        self.worker.dispatcher.orders.revoke_waiting(lambda request: bool(_borne(request, stamps)))

    def terminate(self, ids: Collection[str], kill: bool) -> list[str]:
        orders, grace = self.worker.dispatcher.orders, self.worker.config.drain.grace
        return [task_id for task_id in ids if orders.terminate(task_id, kill=kill, grace=grace)]

    def stamped(self, stamps: Stamps) -> dict[str, dict[str, set[Any]]]:
        found = {request.id: _borne(request, stamps) for request in self.held(Stage.RUNNING)}
        return {task_id: borne for task_id, borne in found.items() if borne}

    # -- limits ----------------------------------------------------------------------------------

    def rate_limit(self, task: str, rate: Any) -> None:
        self.worker.consumer.task_rates.say(task, rate or 0)

    def time_limit(self, task: str, soft: float | None, hard: float | None) -> None:
        replace_time_limits(self.worker, task, soft, hard)

    # -- queues ----------------------------------------------------------------------------------

    def add_consumer(self, queue: str, options: Mapping[str, Any]) -> None:
        self.worker.consumer.add_task_queue(queue, **options)

    def cancel_consumer(self, queue: str) -> None:
        self.worker.consumer.cancel_task_queue(queue)

    # -- events and elections --------------------------------------------------------------------

    def task_events(self, on: bool) -> bool:
        dispatcher = self.worker.consumer.event_dispatcher
        return dispatcher.add_group(TASK) if on else dispatcher.discard_group(TASK)

    def heartbeat(self) -> None:
        consumer = self.worker.consumer
        if consumer.heart is not None:
            consumer.heart.beat(consumer)
        else:
            consumer.event_dispatcher.send("worker-heartbeat", freq=UNASKED, **SOFTWARE)

    def election(self, election_id: str, topic: str, action: Any) -> None:
        self.worker.consumer.gossip.election(election_id, topic, action)


def _borne(request: Request, stamps: Stamps) -> dict[str, set[Any]]:
    """Which of ``stamps`` the request bears."""
    borne = stamps_of(request.message)
    found = {name: borne.get(name, set()) & set(values) for name, values in stamps.items()}
    return {name: values for name, values in found.items() if values}
