"""The Pool step: templates and children, through the pool library.

``worker.pool`` is the library's own ``Pool``; this step gives it the recipe of a generation (how a
template imports the app) and takes its facts to where they matter: jobs to the dispatcher, generations to
the reloads.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from workerd.bootsteps import StartStopStep
from workerd.delivery import TaskOptions
from workerd_pool import Pool as ProcessPool
from workerd_pool import Spec

if TYPE_CHECKING:
    from workerd.worker.controller import WorkController

logger = logging.getLogger(__name__)

PATIENCE = 5.0
"""Seconds that idle children have to leave, and killed ones to be gone."""


def recipe(worker: WorkController) -> Spec:
    """How a template of this daemon imports the app."""
    config = worker.config
    arg = {
        "app": config.app,
        "broker": list(worker.broker_urls),
        "backend": worker.backend_url,
        "hostname": worker.hostname,
        "loglevel": config.loglevel,
    }
    return Spec(
        entry="workerd.app.runner:load",
        arg=msgspec.msgpack.encode(arg),
        name=config.name,
        path=tuple(entry for entry in sys.path if entry),
        boot_timeout=config.boot_timeout,
        max_jobs=config.max_tasks_per_child or None,
        max_memory=config.max_memory_per_child or None,
    )


def options_of(name: str, row: Mapping[str, Any]) -> TaskOptions:
    """A task's options as its template sent them; what cannot be read must not hide the task itself."""
    try:
        return TaskOptions.of(row)
    except msgspec.ValidationError as exc:
        logger.error("Options of task %s cannot be read, so it runs with the defaults: %s", name, exc)
        return TaskOptions()


class Listener:
    """The pool's host: where each of its facts goes."""

    def __init__(self, worker: WorkController) -> None:
        self.worker, self.runs = worker, worker.dispatcher.runs
        self.on_started, self.on_progress = self.runs.on_started, self.runs.on_progress
        self.on_done, self.on_lost = self.runs.on_done, self.runs.on_lost
        self.on_returned = self.runs.on_returned
        self.empty = False

    def on_up(self, generation: int, table: Mapping[str, Any]) -> None:
        """This generation is the current one: its tasks are known from now on."""
        lane = self.worker.dispatcher.default
        gone = sorted(lane.tasks.keys() - table.keys())
        lane.tasks = {name: options_of(name, row) for name, row in table.items()}
        self.worker.reloads.succeeded(generation, len(table), gone)
        self.worker.check_ready()
        self.worker.dispatcher.pump()

    def on_generation_failed(self, generation: int, reason: str, traceback: str) -> None:
        """It could not start; whatever served before goes on serving."""
        self.worker.reloads.failed(generation, reason, traceback)

    def on_free(self) -> None:
        """A slot can take a job."""
        self.worker.dispatcher.pump()

    def on_degraded(self, reason: str | None) -> None:
        """Children die faster than the restart budget allows; None when that is over."""
        self.worker.degraded(reason)

    def on_empty(self) -> None:
        """After a close: no child is left."""
        self.empty = True
        self.worker.children_gone()


class Pool(StartStopStep):
    """Worker step; ``worker.pool`` from its construction on."""

    label = "Pool"
    requires = ("Hub", "Timer", "Results")

    def __init__(self, worker: WorkController, **options: Any) -> None:
        self.listener = Listener(worker)
        worker.pool = ProcessPool(worker.hub, recipe(worker), self.listener, worker.reaper)
        worker.dispatcher.default.pool = worker.pool

    def start(self, worker: WorkController) -> None:
        worker.pool.start()
        worker.pool.want(worker.config.size[0], reason="start")

    def stop(self, worker: WorkController) -> None:
        """Idle children leave by themselves; whatever still runs has had its time and is killed."""
        worker.pool.close()
        self._wait(worker)
        if not self.listener.empty:
            worker.pool.terminate()
            self._wait(worker)

    def _wait(self, worker: WorkController) -> None:
        deadline = worker.clock.now() + PATIENCE
        # The timer wakes the loop at the deadline; everything else that happens wakes it earlier.
        alarm = worker.hub.call_later(PATIENCE, _nothing)
        while not self.listener.empty and worker.clock.now() < deadline:
            worker.hub.turn()
        alarm.cancel()

    def info(self, worker: WorkController) -> dict[str, Any]:
        return {"pool": worker.pool.info()}


def _nothing() -> None:
    """Only the wake-up counts."""
