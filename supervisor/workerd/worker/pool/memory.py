"""MemoryKeeper: keep the daemon within its memory budget.

It looks each second while something runs or fetching is stopped, and never otherwise.  Near the budget it
stops fetching and has idle children replaced that have grown, nearer still it forbids growth.

Units: seconds of the monotonic clock; bytes.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any

from workerd_pool import Headroom, MemoryBudget, Pressure, Reading

if TYPE_CHECKING:
    from workerd.worker.controller import WorkController

logger = logging.getLogger(__name__)

INTERVAL = 1.0

STOPPED = {
    Pressure.NONE: "tasks are fetched again",
    Pressure.FETCHING: "no more tasks are fetched, save one at a time while nothing runs",
    Pressure.GROWTH: "no more tasks are fetched, save one at a time while nothing runs, and no pool grows",
}


class MemoryKeeper:
    """``worker.memory``.  ``Headroom`` judges; here are the effects."""

    def __init__(self, worker: WorkController, budget: MemoryBudget | None = None) -> None:
        self.worker = worker
        self._budget = budget or MemoryBudget(worker.config.memory_budget)
        self._possible = self._budget.possible
        self._headroom = Headroom()
        self._timer: Any = None
        self._last: Reading | None = None

    @property
    def may_grow(self) -> bool:
        """Pools may have more children than now."""
        return self._headroom.pressure < Pressure.GROWTH

    @property
    def short(self) -> str:
        """Why no pool may grow, in words; empty while they may."""
        return "" if self.may_grow else f"memory is short: {self._last}"

    def watch(self) -> None:
        """Something runs: look until nothing does."""
        if self._possible and self._timer is None:
            self._timer = self.worker.hub.call_later(INTERVAL, self._tick)

    def stop(self) -> None:
        """Look no more.  May be called twice."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def status(self) -> dict[str, Any] | None:
        """For ``status``; None without a budget."""
        reading = self._read() if self._possible else None
        if reading is None:
            return None
        return {
            "used": reading.used,
            "budget": reading.budget,
            "text": str(reading),
            "stopped": STOPPED[self._headroom.pressure] if self._headroom.pressure else "",
        }

    def _tick(self) -> None:
        self._timer = None
        try:
            self._look()
        finally:
            # Whatever a look meets: while fetching is stopped nothing else would begin the next one.
            if self._headroom.pressure or any(pool.busy for pool in self.worker.pools.values()):
                self.watch()

    def _look(self) -> None:
        worker = self.worker
        self._judge(self._read())
        if self._headroom.pressure:
            any(pool.shed() for pool in worker.pools.values())  # one child a second
            # The one task at a time: a lane asks for it only when something happens to it.
            worker.dispatcher.pump()

    def _read(self) -> Reading | None:
        pids = [pid for pool in self.worker.pools.values() for pid in pool.processes()]
        return self._budget.read([os.getpid(), *pids], self.worker.clock.now())

    def _judge(self, reading: Reading | None) -> None:
        self._last = reading or self._last
        before = self._headroom.pressure
        after = self._headroom.judge(reading)
        if after is before:
            return
        level = logging.WARNING if after > before else logging.INFO
        logger.log(level, "Memory: %s; %s", reading, STOPPED[after])
        self.worker.dispatcher.paused = "memory is short" if after else ""
        self.worker.dispatcher.pump()
