"""Autoscaler: keep the number of slots close to the demand for them.

Every ``interval`` it reads the demand (messages here that run or wait for a slot) and sets the pool's wanted
size within ``[lower, upper]``.  It grows at once.  It shrinks no lower than the highest demand of the last
``window``, so that a pause in a burst does not pay for retiring slots and starting them again.

Units:   seconds of the monotonic clock; sizes and demand are counts.
Errors:  ConfigError for bounds that cannot hold.
Source:  the window is the scale-down stabilisation window of Kubernetes' HPA.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from workerd.bootsteps import StartStopStep
from workerd.errors import ConfigError
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
    """Worker step behind ``--size 2-8`` and ``scale 2-8``; idle while the size is fixed."""

    label = "Autoscaler"
    requires = ("Timer", "Pool")

    def __init__(self, worker: WorkController, *, interval: float = 1.0, **options: Any) -> None:
        self.interval, self.demand = interval, Demand()
        self.lower, self.upper = worker.config.size
        self._tick_timer: Any = None
        worker.autoscaler = self

    def start(self, worker: WorkController) -> None:
        if self._tick_timer is None:
            self._tick_timer = worker.timer.call_repeatedly(self.interval, self.tick, (worker,))

    def stop(self, worker: WorkController) -> None:
        if self._tick_timer is not None:
            self._tick_timer.cancel()
            self._tick_timer = None

    def bound(self, lower: int, upper: int) -> None:
        """Scale between these bounds from the next tick on."""
        if not 1 <= lower <= upper:
            raise ConfigError(f"size needs 1 <= lower <= upper, not {lower}-{upper}")
        self.lower, self.upper = lower, upper

    def choose(self, now: float, demand: int) -> int:
        """Record the demand at ``now``; return the size it calls for."""
        return min(max(self.demand.record(now, demand), self.lower), self.upper)

    def tick(self, worker: WorkController) -> None:
        """Read the demand and set the wanted size; tell the dispatcher how far the pool may grow."""
        if self.lower == self.upper or worker.state not in (State.RUNNING, State.RELOADING):
            worker.dispatcher.default.growth = 0
            return
        wanted = self.choose(worker.clock.now(), worker.demand())
        if wanted > worker.pool.wanted and not worker.memory.may_grow:
            wanted = worker.pool.wanted
        if wanted != worker.pool.wanted:
            worker.pool.want(wanted, reason="autoscale")
        worker.dispatcher.default.growth = self.upper - wanted
        worker.dispatcher.pump()
