"""The Pool step: templates and children, through the pool library.

Each pool is the library's own ``Pool``; this step gives it the recipe of a generation (how a template
imports the app) and takes its facts to where they matter: jobs to the dispatcher, generations to
``worker.pools``, which acts on all of them as one.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from workerd.app.marks import changed
from workerd.app.registry import BUILTIN
from workerd.app.settings.daemon import waiting_per_slot
from workerd.bootsteps import StartStopStep
from workerd.config.model import MAX_SLOTS
from workerd.delivery import Lane, Limits, TaskOptions
from workerd.errors import ConfigError, WorkerdError
from workerd.signals import worker_before_create_process
from workerd.worker.life.lifecycle import UP, Event
from workerd.worker.life.stop_time import Part
from workerd.worker.log.said import prints_of
from workerd.worker.pool.output import Output
from workerd.worker.pool.pools import Pools
from workerd.worker.pool.reloads import Change
from workerd_pool import Pool as ProcessPool
from workerd_pool import Spec

if TYPE_CHECKING:
    from workerd.config import PoolConfig
    from workerd.worker.controller import WorkController

logger = logging.getLogger(__name__)

PATIENCE = 5.0
"""Seconds that idle children have to leave, and killed ones to be gone."""


def recipe(worker: WorkController, pool: str) -> Spec:
    """How a template of this daemon's ``pool`` imports the app."""
    config, own = worker.config, worker.config.all_pools()[pool]
    arg = {
        "app": config.app,
        "broker": list(worker.broker_urls),
        "backend": worker.backend_url,
        "hostname": worker.hostname,
        "loglevel": config.loglevel,
        "words": worker.given.words,
        "settings": worker.given.changed(worker.app.conf.given()),
    }
    return Spec(
        entry="workerd.app.running.runner:load",
        arg=msgspec.msgpack.encode(arg),
        name=f"{config.name}:{pool}",
        path=tuple(entry for entry in sys.path if entry),
        boot_timeout=own.boot_timeout,
        max_jobs=own.max_tasks_per_child or None,
        max_memory=own.max_memory_per_child or None,
        soft_memory=own.soft_memory_limit or None,
        hard_memory=own.memory_limit or None,
        open_files=worker.open_files,
    )


def options_of(name: str, row: Mapping[str, Any]) -> TaskOptions:
    """A task's options as its template sent them; what cannot be read must not hide the task itself."""
    try:
        return TaskOptions.of(row)
    except msgspec.ValidationError as exc:
        logger.error("Options of task %s cannot be read, so it runs with the defaults: %s", name, exc)
        return TaskOptions()


class NamedPool(ProcessPool):
    """A pool of the library, with what the daemon knows of it.

    ``bounds`` are (lower, upper) slots; the autoscaler moves between them where they differ.
    """

    def __init__(self, worker: WorkController, name: str, lane: Lane) -> None:
        super().__init__(worker.hub, recipe(worker, name), Listener(worker, name), worker.reaper)
        self.name, self.lane = name, lane
        self.config: PoolConfig = worker.config.all_pools()[name]
        self.bounds = self.config.size
        self.memory = worker.memory
        self.degraded: str | None = None
        """Why its children cannot be kept alive, while that is so."""
        lane.pool = self
        lane.limits = Limits(self.config.soft_time_limit, self.config.time_limit)

    def resize(self, lower: int, upper: int, reason: str) -> None:
        """New bounds; ``wanted`` moves into them.  Raises ConfigError, and what ``check_growth`` raises."""
        if not 1 <= lower <= upper:
            raise ConfigError(f"size needs 1 <= lower <= upper, not {lower}-{upper}")
        if upper > MAX_SLOTS:
            raise ConfigError(f"a pool has at most {MAX_SLOTS} slots, not {upper}")
        size = min(max(self.wanted, lower), upper)
        self.check_growth(size)
        self.bounds = (lower, upper)
        self.want(size, reason=reason)

    def check_growth(self, size: int) -> None:
        """Raise WorkerdError if ``size`` is more than is wanted now, and the memory budget forbids growth."""
        if size > self.wanted and self.memory.short:
            raise WorkerdError(
                f"pool {self.name} cannot grow from {self.wanted} to {size} slots now, {self.memory.short}",
                "try again when less is in use, or start with a larger memory_budget",
            )

    def within(self, size: int) -> int:
        """The size nearest to ``size`` that the bounds allow."""
        lower, upper = self.bounds
        return min(max(size, lower), upper)


class Listener:
    """One pool's host: where each of its facts goes."""

    def __init__(self, worker: WorkController, name: str) -> None:
        self.worker, self.name, runs = worker, name, worker.dispatcher.runs
        self.lane = worker.dispatcher.lanes[name]
        self.lane.prefetch.per_slot = waiting_per_slot(worker.app.conf)
        self.on_started, self.on_progress = runs.on_started, runs.on_progress
        self.on_done, self.on_lost = runs.on_done, runs.on_lost
        self.on_returned = runs.on_returned
        self.on_output = Output(prints_of(worker.app.conf)).log_line

    def on_passed(self, generation: int) -> None:
        """It has passed its trial here, and waits until it has in every pool."""
        self.worker.pools.passed(self.name, generation)

    def on_up(self, generation: int, table: Mapping[str, Any]) -> None:
        """This generation is the current one: its tasks are known from now on."""
        worker, tasks = self.worker, table["tasks"]
        gone = sorted(self.lane.tasks.keys() - tasks.keys())
        self.lane.tasks = {name: options_of(name, row) for name, row in tasks.items()}
        worker.consumer.update_strategies()
        outdated = changed(worker.marks, table["marks"])
        if generation > 1:
            outdated += worker.steps_on_disk.changed()
        own = sum(name not in BUILTIN for name in tasks)
        change = Change(own, gone, sorted(outdated))
        if worker.autoreloader is not None:
            worker.autoreloader.follow(table["sources"])
        worker.pools.came_up(self.name, generation, change)
        worker.check_ready()
        self.lane.pump()

    def on_making(self) -> None:
        """A child is about to be made."""
        worker_before_create_process.send(sender=self.worker.pools[self.name])

    def on_settled(self, generation: int) -> None:
        """Every older child that had no task is replaced."""
        self.worker.pools.settled(self.name, generation)

    def on_complete(self, generation: int) -> None:
        """No older child is left."""
        self.worker.pools.completed(self.name, generation)

    def on_generation_failed(self, generation: int, reason: str, traceback: str) -> None:
        """It could not start; whatever served before goes on serving."""
        self.worker.pools.failed(self.name, generation, reason, traceback)

    def on_free(self) -> None:
        """A slot can take a job."""
        self.lane.pump()

    def on_degraded(self, reason: str | None) -> None:
        """Children die faster than the restart budget allows; None when that is over."""
        self.worker.pools[self.name].degraded = reason
        if reason is None:
            # What a stop has emptied is not healed.
            if self.worker.state in UP:
                logger.info("Pool %s is healthy again", self.name)
            return
        logger.error("Pool %s is degraded: %s", self.name, reason)
        if not self.worker.reloads.up:
            self.worker.happened(Event.START_FAILING)

    def on_empty(self) -> None:
        """After a close: no child is left."""
        self.worker.pools.emptied(self.name)


class Pool(StartStopStep):
    """Worker step; ``worker.pool`` (the default one) and ``worker.pools`` from its construction on."""

    label = "Pool"
    requires = ("Hub", "Timer", "Results")

    def __init__(self, worker: WorkController, **options: Any) -> None:
        self._started = False
        lanes = worker.dispatcher.lanes
        worker.pools = Pools(worker.reloads, worker.children_gone)
        for name, lane in lanes.items():
            worker.pools.add(NamedPool(worker, name, lane))
        worker.pool = worker.pools.default

    def start(self, worker: WorkController) -> None:
        if not self._started:
            self._started = True
            worker.pools.start()

    def stop(self, worker: WorkController) -> None:
        """Idle children leave by themselves; whatever still runs has had its time and is killed.

        For good: a start after this raises PoolClosedError.
        """
        self._started = False
        worker.pools.close()
        self._wait(worker, Part.ANSWERS)
        if not worker.pools.empty:
            worker.pools.terminate()
            self._wait(worker, Part.POOL)

    def _wait(self, worker: WorkController, part: Part) -> None:
        patience = worker.stop_time.left(PATIENCE, part)
        deadline = worker.clock.now() + patience
        # The timer wakes the loop at the deadline; everything else that happens wakes it earlier.
        alarm = worker.hub.call_later(patience, _nothing)
        while not worker.pools.empty and worker.clock.now() < deadline:
            worker.hub.turn()
        alarm.cancel()

    def info(self, worker: WorkController) -> dict[str, Any]:
        return {"pools": {name: pool.info() for name, pool in worker.pools.items()}}


def _nothing() -> None:
    """Only the wake-up counts."""
