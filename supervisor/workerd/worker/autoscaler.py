"""Autoscaler: move the pools whose size is a range between its ends.

Each ``interval`` it looks at every such pool, and does what the pool's policy (``scaling_policy``) decides.
How much waits at the broker it asks only while tasks run or wait here: an idle node would have fetched it.
Like everything else that scales, it changes what is wanted and touches no child.

Units:   seconds of the monotonic clock; sizes are counts of slots.
Errors:  ConfigError for bounds that cannot hold.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from workerd.bootsteps import StartStopStep
from workerd.worker.life.lifecycle import State
from workerd.worker.pool.scaling_policy import Decision, Policy, Sight, Use

if TYPE_CHECKING:
    from workerd.source import TaskSource
    from workerd.worker.controller import WorkController
    from workerd.worker.pool.step import NamedPool

logger = logging.getLogger(__name__)

SERVING = frozenset({State.RUNNING, State.RELOADING})


def machine_load() -> tuple[float, int]:
    """(load average of the last minute, CPUs), both of the whole machine."""
    return os.getloadavg()[0], os.cpu_count() or 1


class ScaledPool:
    """One pool, its policy, and what was decided last."""

    def __init__(self, pool: NamedPool) -> None:
        own = pool.config.autoscale
        self.pool, self.policy, self.use = pool, Policy(own.max_wait, own.window), Use()
        self.sight: Sight | None = None
        self.decision: Decision | None = None
        self._held_at: float | None = None

    @property
    def enabled(self) -> bool:
        """Its size is a range."""
        return self.pool.bounds[0] < self.pool.bounds[1]

    @property
    def active(self) -> bool:
        """Tasks run or wait here."""
        return bool(self.pool.busy or self.pool.lane.demand())

    def forget(self) -> None:
        """Its size is not the autoscaler's for now."""
        if self.decision is not None:
            self.policy.forget()
            self.use, self.sight, self.decision, self._held_at = Use(), None, None, None

    def look(self, now: float, counts: Mapping[str, int], held: str) -> None:
        """See how it is, decide, and say so if that changes anything."""
        self.sight = sight = self._sight(now, counts, held)
        self.decision = decision = self.policy.decide(sight, self.pool.bounds)
        if decision.target != sight.wanted:
            before, after = sight.wanted, decision.target
            logger.info("Pool %s: from %d to %d slots: %s", self.pool.name, before, after, decision.reason)
            self.pool.want(decision.target, reason=f"autoscale: {decision.reason}")
        if decision.held:
            # Once, however often the need for more comes and goes meanwhile.
            if self._held_at is None or now - self._held_at > self.policy.window:
                logger.info(
                    "Pool %s: no more slots than %d, %s", self.pool.name, sight.wanted, decision.reason
                )
            self._held_at = now

    def _sight(self, now: float, counts: Mapping[str, int], held: str) -> Sight:
        pool, lane, prefetch = self.pool, self.pool.lane, self.pool.lane.prefetch
        children = pool.children()
        busy = [child for child in children if child.state == "BUSY"]  # one that leaves is no slot any more
        since = now if self.sight is None else self.sight.now
        running = sum(child.age for child in children if child.job_id is not None)
        self.use.record(now, prefetch.spent + running, prefetch.ended)
        known = [counts[queue] for queue in lane.queues if queue in counts]
        return Sight(
            now=now,
            wanted=pool.wanted,
            busy=len(busy),
            waiting=lane.waiting(),
            backlog=sum(known) if known else None,
            task_time=self.use.task_time(prefetch.mean),
            use=self.use.slots,
            long=sum(child.job_id is not None and child.age >= now - since for child in busy),
            held=held,
        )

    def status(self) -> dict[str, Any] | None:
        """For ``status``; None while its size is fixed, and before the first look."""
        if self.sight is None or self.decision is None or not self.enabled:
            return None
        told = {"waiting": self.sight.waiting, "backlog": self.sight.backlog}
        times = {"wait": self.decision.wait, "task_time": self.sight.task_time, "use": self.sight.use}
        rounded = {name: None if value is None else round(value, 4) for name, value in times.items()}
        return msgspec.structs.asdict(self.decision) | told | rounded


class Autoscaler(StartStopStep):
    """Worker step behind ``--size 2-8`` and ``scale 2-8``; leaves pools of a fixed size alone.

    The methods below the line are those that extensions know; they are about the default pool.
    """

    label = "Autoscaler"
    requires = ("Timer", "Pool")

    def __init__(self, worker: WorkController, *, interval: float = 1.0, **options: Any) -> None:
        self.interval, self.worker = interval, worker
        self.pools = {name: ScaledPool(pool) for name, pool in worker.pools.items()}
        self.load: Callable[[], tuple[float, int]] = machine_load
        self._tick_timer: Any = None
        self._asked: TaskSource | None = None
        """It has not answered yet."""
        worker.autoscaler = self

    def start(self, worker: WorkController) -> None:
        if self._tick_timer is None:
            self._tick_timer = worker.timer.call_repeatedly(self.interval, self.tick, (worker,))

    def stop(self, worker: WorkController) -> None:
        if self._tick_timer is not None:
            self._tick_timer.cancel()
            self._tick_timer = None

    def tick(self, worker: WorkController) -> None:
        """Ask how much waits at the broker, where that matters, and decide when it has answered."""
        source = worker.dispatcher.settler.source
        active = [scaled for scaled in self._scaled() if scaled.active]
        if not active or source is None or source is self._asked:
            self._decide({})
            return
        self._asked = source
        queues = [queue for scaled in active for queue in scaled.pool.lane.queues]
        source.backlog(queues, partial(self._answered, source))

    def status(self, pool: str) -> dict[str, Any] | None:
        """Of this pool: ``target``, ``reason``, ``wait`` (estimated), ``held``, ``waiting`` (here),
        ``backlog`` (at the broker), ``task_time`` and ``use``; what is not known is None."""
        return self.pools[pool].status()

    def _scaled(self) -> list[ScaledPool]:
        """The pools that are the autoscaler's business now."""
        serving = self.worker.state in SERVING
        for scaled in self.pools.values():
            if not (serving and scaled.enabled):
                scaled.forget()
        return [scaled for scaled in self.pools.values() if serving and scaled.enabled]

    def _answered(self, source: TaskSource, counts: Mapping[str, int]) -> None:
        if source is self._asked:
            self._asked = None
        if self._tick_timer is not None:
            self._decide(counts)

    def _decide(self, counts: Mapping[str, int]) -> None:
        for scaled in self._scaled():
            scaled.look(self.worker.clock.now(), counts, self._held(scaled.pool))

    def _held(self, pool: NamedPool) -> str:
        """Why the pool must not grow now; empty when it may."""
        worker = self.worker
        # While nothing is fetched a further slot would only take memory.
        if worker.dispatcher.paused or not worker.memory.may_grow:
            return "memory budget"
        (load, cpus), most = self.load(), pool.config.autoscale.max_load
        return f"load {load:.1f} on {cpus} CPUs" if most and load > most * cpus else ""

    # ------------------------------------------------------------------------------------------------

    def info(self, parent: Any = None) -> dict[str, Any]:
        """``max``, ``min``, ``current`` and ``qty``; for a parent below ``autoscaler``, as its facts."""
        lower, upper = self.worker.pool.bounds
        found = {"max": upper, "min": lower, "current": self.processes, "qty": self.qty}
        return found if parent is None else {"autoscaler": found}

    @property
    def qty(self) -> int:
        """Messages here that run or wait for a slot."""
        return self.worker.pool.lane.demand()

    @property
    def processes(self) -> int:
        """Slots wanted."""
        return self.worker.pool.wanted

    def update(self, max: int | None = None, min: int | None = None) -> tuple[int, int]:  # noqa: A002
        """New bounds, as (max, min); the size moves into them.

        Raises ConfigError for bounds that cannot hold; this and all below raise WorkerdError where the pool
        would grow while memory is short.
        """
        lower, upper = self.worker.pool.bounds
        self._resize(lower if min is None else min, upper if max is None else max, 0)
        return self.worker.pool.bounds[1], self.worker.pool.bounds[0]

    def scale_up(self, n: int) -> int:
        """``n`` slots more, up to the upper bound, for a window at least; the slots that are wanted then."""
        return self._resize(*self.worker.pool.bounds, n)

    def scale_down(self, n: int) -> int:
        """``n`` slots fewer, down to the lower bound; a busy child ends its task first."""
        return self._resize(*self.worker.pool.bounds, -n)

    def force_scale_up(self, n: int) -> int:
        """As ``scale_up``; the upper bound gives way."""
        lower, upper = self.worker.pool.bounds
        return self._resize(lower, max(upper, self.processes + n), n)

    def force_scale_down(self, n: int) -> int:
        """As ``scale_down``; the lower bound gives way, to 1."""
        lower, upper = self.worker.pool.bounds
        return self._resize(max(1, min(lower, self.processes - n)), upper, -n)

    def _resize(self, lower: int, upper: int, step: int) -> int:
        pool = self.worker.pool
        pool.check_growth(min(max(pool.wanted + step, lower), upper))
        pool.resize(lower, upper, reason="an extension")
        if step:
            pool.want(pool.within(pool.wanted + step), reason="an extension")
            self.pools[pool.name].policy.forget()
        return pool.wanted
