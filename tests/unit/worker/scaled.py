"""A worker with pools whose facts are set by hand, and its autoscaler."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.clock import FakeClock
from workerd.config.model import Autoscale
from workerd.delivery import Prefetch
from workerd.worker.autoscaler import Autoscaler
from workerd.worker.life.lifecycle import State
from workerd.worker.pool.step import NamedPool


class FakePool:
    """A pool and its lane, with facts that are set by hand."""

    resize, within, check_growth = NamedPool.resize, NamedPool.within, NamedPool.check_growth

    def __init__(self, bounds: tuple[int, int], *queues: str, **own: float) -> None:
        self.name = queues[0] if queues else "default"
        self.bounds, self.wanted = bounds, bounds[0]
        self.config = SimpleNamespace(autoscale=Autoscale(max_load=0.0) if not own else Autoscale(**own))
        self.memory = SimpleNamespace(short="")
        self.ages: list[float] = []
        self.waiting = 0
        self.reasons: list[str] = []
        self.lane = SimpleNamespace(
            queues=queues or ("celery",),
            prefetch=Prefetch(),
            waiting=lambda: self.waiting,
            demand=lambda: len(self.ages) + self.waiting,
        )

    @property
    def busy(self) -> int:
        return len(self.ages)

    def children(self) -> list[Any]:
        free = max(self.wanted - self.busy, 0)
        running = [SimpleNamespace(state="BUSY", job_id=n, age=age) for n, age in enumerate(self.ages)]
        return running + [SimpleNamespace(state="IDLE", job_id=None, age=99.0)] * free

    def want(self, size: int, reason: str = "") -> None:
        self.wanted = size
        self.reasons.append(reason)

    def runs(self, *ages: float, waiting: int = 0) -> None:
        self.ages, self.waiting = list(ages), waiting


class FakeSource:
    """Answers at once unless it is ``silent``; then the question is kept."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.asked: list[list[str]] = []
        self.silent = False
        self.kept: list[Callable[[Mapping[str, int]], None]] = []

    def backlog(self, queues: list[str], then: Callable[[Mapping[str, int]], None]) -> None:
        self.asked.append(list(queues))
        if self.silent:
            self.kept.append(then)
        else:
            then({queue: self.counts.get(queue, 0) for queue in queues})


class Timer:
    """Remembers what it was asked to call."""

    def __init__(self) -> None:
        self.entries: list[Any] = []

    def call_repeatedly(self, seconds: float, fun: Callable[..., None], args: tuple[Any, ...]) -> Any:
        self.entries.append((seconds, fun, args))
        return SimpleNamespace(cancel=self.entries.clear)


class Rig:
    """A worker with these pools, and its autoscaler, started."""

    def __init__(self, **pools: FakePool) -> None:
        self.clock, self.pools, self.state = FakeClock(), pools, State.RUNNING
        self.pool = pools["default"]
        self.source, self.timer = FakeSource(), Timer()
        self.memory = SimpleNamespace(may_grow=True)
        self.dispatcher = SimpleNamespace(paused="", settler=SimpleNamespace(source=self.source))
        self.autoscaler: Any = None
        worker: Any = self
        self.step = Autoscaler(worker)
        self.step.start(worker)

    def tick(self) -> list[int]:
        """Wanted slots of each pool after one tick; a second passes."""
        worker: Any = self
        self.step.tick(worker)
        self.clock.advance(1.0)
        return [pool.wanted for pool in self.pools.values()]


@pytest.fixture
def rig() -> Rig:
    """One pool of 1-8, which has measured 200 ms a task."""
    pool = FakePool((1, 8))
    pool.lane.prefetch.record(0.2)
    return Rig(default=pool)
