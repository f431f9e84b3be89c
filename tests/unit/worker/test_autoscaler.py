"""The autoscaler: grow at once, shrink late, stay within the bounds."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.clock import FakeClock
from workerd.worker.autoscaler import Autoscaler, Demand
from workerd.worker.lifecycle import State


@dataclass
class FakePool:
    """A pool and its lane, with a demand set by hand."""

    bounds: tuple[int, int]
    demand: int = 0
    reasons: list[str] = field(default_factory=list)
    wanted: int = 0
    lane: Any = None

    def __post_init__(self) -> None:
        self.wanted = self.bounds[0]
        self.lane = SimpleNamespace(growth=0, demand=lambda: self.demand, pump=lambda: None)

    def within(self, size: int) -> int:
        return min(max(size, self.bounds[0]), self.bounds[1])

    def want(self, size: int, reason: str = "") -> None:
        self.wanted = size
        self.reasons.append(reason)


class FakeWorker:
    """What the step reads."""

    def __init__(self, clock: FakeClock, **pools: FakePool) -> None:
        self.clock, self.pools = clock, pools
        self.state = State.RUNNING
        self.autoscaler: Any = None
        self.memory = SimpleNamespace(may_grow=True)


def one(bounds: tuple[int, int], clock: FakeClock, demand: int = 0) -> tuple[FakePool, FakeWorker]:
    """A worker with a default pool alone, and its step."""
    pool = FakePool(bounds, demand)
    worker = FakeWorker(clock, default=pool)
    Autoscaler(worker)  # type: ignore[arg-type]
    return pool, worker


def tick(worker: Any) -> list[int]:
    """Wanted slots of each pool after one tick."""
    worker.autoscaler.tick(worker)
    return [pool.wanted for pool in worker.pools.values()]


def test_a_pause_in_a_burst_keeps_its_slots(clock: FakeClock) -> None:
    pool, worker = one((1, 6), clock, demand=8)

    assert tick(worker) == [6]  # grew at once, and only to its bound
    pool.demand = 0
    clock.advance(30.0)
    assert tick(worker) == [6]  # the burst is still inside the window
    clock.advance(1.0)
    assert tick(worker) == [1]
    assert set(pool.reasons) == {"autoscale"}


def test_it_shrinks_to_the_highest_demand_of_the_window(clock: FakeClock) -> None:
    pool, worker = one((1, 10), clock)
    wanted = []
    for demand in (9, 2, 5, 1, 1):
        pool.demand = demand
        wanted += tick(worker)
        clock.advance(12.0)

    # At 36 s the 9 of 0 s is out of the window of 30 s; at 48 s the 5 of 24 s is not.
    assert wanted == [9, 9, 9, 5, 5]


@pytest.mark.parametrize(("demand", "size"), [(0, 2), (2, 2), (3, 3), (8, 8), (9, 8), (10_000, 8)])
def test_the_size_follows_the_demand_within_the_bounds(clock: FakeClock, demand: int, size: int) -> None:
    pool, worker = one((2, 8), clock, demand)
    assert tick(worker) == [size]
    assert pool.lane.growth == 8 - size


def test_each_pool_follows_its_own_demand(clock: FakeClock) -> None:
    pools = {"default": FakePool((1, 4), demand=3), "video": FakePool((1, 2)), "pdf": FakePool((2, 2), 9)}
    worker = FakeWorker(clock, **pools)
    Autoscaler(worker)  # type: ignore[arg-type]

    assert tick(worker) == [3, 1, 2]
    assert [pool.lane.growth for pool in pools.values()] == [1, 1, 0]


def test_the_worker_has_it_also_while_the_size_is_fixed(clock: FakeClock) -> None:
    _, worker = one((4, 4), clock)

    assert isinstance(worker.autoscaler, Autoscaler)


def test_a_fixed_size_is_left_alone(clock: FakeClock) -> None:
    pool, worker = one((4, 4), clock, demand=9)
    pool.wanted = 3  # somebody else's wish

    assert tick(worker) == [3]
    assert pool.reasons == []


def test_bounds_that_come_later_hold_from_the_next_tick_on(clock: FakeClock) -> None:
    pool, worker = one((4, 4), clock, demand=9)
    pool.bounds = (2, 6)
    assert tick(worker) == [6]
    pool.bounds = (2, 3)
    assert tick(worker) == [3]


@pytest.mark.parametrize("state", State)
def test_only_a_worker_that_serves_is_scaled(clock: FakeClock, state: State) -> None:
    _, worker = one((1, 6), clock, demand=5)
    worker.state = state

    assert tick(worker) == ([5] if state in (State.RUNNING, State.RELOADING) else [1])


def test_demand_of_the_windows_very_edge_still_counts(clock: FakeClock) -> None:
    demand = Demand(window=10.0)
    start = clock.now()
    demand.record(start, 7)

    assert demand.record(start + 10.0, 1) == 7
    assert demand.record(start + 10.1, 1) == 1


def test_a_shrinking_demand_is_remembered_step_by_step(clock: FakeClock) -> None:
    demand = Demand(window=10.0)

    assert [demand.record(clock.now() + at, seen) for at, seen in ((0, 5), (4, 3), (8, 1))] == [5, 5, 5]
    assert [demand.record(clock.now() + at, 0) for at in (11, 15, 19)] == [3, 1, 0]


def test_a_pool_without_memory_to_grow_by_only_shrinks(clock: FakeClock) -> None:
    pool, worker = one((1, 6), clock, demand=3)
    assert tick(worker) == [3]
    worker.memory.may_grow, pool.demand = False, 6
    assert tick(worker) == [3]
    pool.demand = 1
    clock.advance(31.0)
    assert tick(worker) == [1]
    worker.memory.may_grow, pool.demand = True, 6
    assert tick(worker) == [6]
