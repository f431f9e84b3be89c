"""Autoscaler: keep the number of slots close to the demand for them.

Every ``interval`` it reads each pool's demand (messages here that run or wait for a slot) and sets its wanted
size within its bounds.  It grows at once.  It shrinks no lower than the highest demand of the last
``window``, so that a pause in a burst does not pay for retiring slots and starting them again.

Units:   seconds of the monotonic clock; sizes and demand are counts.
Source:  the window is the scale-down stabilisation window of Kubernetes' HPA.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from workerd.bootsteps import StartStopStep
from workerd.worker.lifecycle import State

if TYPE_CHECKING:
    from workerd.worker.controller import WorkController


class Demand:
    """The highest demand seen within the last ``window`` seconds."""

    def __init__(self, window: float = 30.0) -> None:
        self.window = window
        self._seen: deque[tuple[float, int]] = deque()  # (when, demand), oldest first

    def record(self, now: float, demand: int) -> int:
        """Note the demand at ``now``; return the highest of the window."""
        self._seen.append((now, demand))
        while self._seen[0][0] < now - self.window:
            self._seen.popleft()
        return max(demand for _, demand in self._seen)


class Autoscaler(StartStopStep):
    """Worker step behind ``--size 2-8`` and ``scale 2-8``; leaves pools of a fixed size alone."""

    label = "Autoscaler"
    requires = ("Timer", "Pool")

    def __init__(self, worker: WorkController, *, interval: float = 1.0, **options: Any) -> None:
        self.interval = interval
        self.demands = {name: Demand() for name in worker.pools}
        self._tick_timer: Any = None
        worker.autoscaler = self

    def start(self, worker: WorkController) -> None:
        if self._tick_timer is None:
            self._tick_timer = worker.timer.call_repeatedly(self.interval, self.tick, (worker,))

    def stop(self, worker: WorkController) -> None:
        if self._tick_timer is not None:
            self._tick_timer.cancel()
            self._tick_timer = None

    def tick(self, worker: WorkController) -> None:
        """Read the demands and set the wanted sizes; tell the lanes how far their pools may grow."""
        serving = worker.state in (State.RUNNING, State.RELOADING)
        for name, pool in worker.pools.items():
            lower, upper = pool.bounds
            if lower == upper or not serving:
                pool.lane.growth = 0
                continue
            seen = self.demands[name].record(worker.clock.now(), pool.lane.demand())
            wanted = pool.within(seen)
            if wanted > pool.wanted and not worker.memory.may_grow:
                wanted = pool.wanted
            if wanted != pool.wanted:
                pool.want(wanted, reason="autoscale")
            pool.lane.growth = upper - wanted
            pool.lane.pump()
