"""The autoscaler: grow at once, shrink late, stay within the bounds."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.clock import FakeClock
from workerd.errors import ConfigError
from workerd.worker.autoscaler import Autoscaler, Demand
from workerd.worker.lifecycle import State


@dataclass
class FakePool:
    wanted: int
    reasons: list[str] = field(default_factory=list)

    def want(self, size: int, reason: str = "") -> None:
        self.wanted = size
        self.reasons.append(reason)


class FakeDispatcher:
    def __init__(self) -> None:
        self.default = SimpleNamespace(growth=0)

    def pump(self) -> None:
        """What may start now would start."""


class FakeWorker:
    """What the step reads, and a demand set by hand."""

    def __init__(self, size: tuple[int, int], clock: FakeClock, demand: int = 0) -> None:
        self.config = SimpleNamespace(size=size)
        self.clock, self.demand_now = clock, demand
        self.state = State.RUNNING
        self.pool, self.dispatcher = FakePool(size[0]), FakeDispatcher()
        self.autoscaler: Any = None
        self.memory = SimpleNamespace(may_grow=True)

    def demand(self) -> int:
        return self.demand_now


def scaler(worker: Any) -> Autoscaler:
    return Autoscaler(worker)


def tick(worker: Any) -> int:
    """Wanted slots after one tick."""
    worker.autoscaler.tick(worker)
    wanted: int = worker.pool.wanted
    return wanted


def test_a_pause_in_a_burst_keeps_its_slots(clock: FakeClock) -> None:
    worker = FakeWorker(size=(1, 6), clock=clock, demand=8)
    scaler(worker)

    assert tick(worker) == 6  # grew at once, and only to its bound
    worker.demand_now = 0
    clock.advance(30.0)
    assert tick(worker) == 6  # the burst is still inside the window
    clock.advance(1.0)
    assert tick(worker) == 1
    assert set(worker.pool.reasons) == {"autoscale"}


def test_it_shrinks_to_the_highest_demand_of_the_window(clock: FakeClock) -> None:
    worker = FakeWorker(size=(1, 10), clock=clock)
    step = scaler(worker)
    wanted = []
    for demand in (9, 2, 5, 1, 1):
        wanted.append(step.choose(clock.now(), demand))
        clock.advance(12.0)

    # At 36 s the 9 of 0 s is out of the window of 30 s; at 48 s the 5 of 24 s is not.
    assert wanted == [9, 9, 9, 5, 5]


@pytest.mark.parametrize(("demand", "size"), [(0, 2), (2, 2), (3, 3), (8, 8), (9, 8), (10_000, 8)])
def test_the_size_follows_the_demand_within_the_bounds(clock: FakeClock, demand: int, size: int) -> None:
    assert scaler(FakeWorker((2, 8), clock)).choose(clock.now(), demand) == size


def test_the_worker_has_it_also_while_the_size_is_fixed(clock: FakeClock) -> None:
    worker = FakeWorker((4, 4), clock)
    step = scaler(worker)

    assert worker.autoscaler is step


def test_a_fixed_size_is_left_alone(clock: FakeClock) -> None:
    worker = FakeWorker((4, 4), clock, demand=9)
    scaler(worker)
    worker.pool.wanted = 3  # somebody else's wish

    assert tick(worker) == 3
    assert worker.pool.reasons == []


def test_bounds_that_come_later_hold_from_the_next_tick_on(clock: FakeClock) -> None:
    worker = FakeWorker((4, 4), clock, demand=9)
    scaler(worker).bound(2, 6)
    assert tick(worker) == 6
    worker.autoscaler.bound(2, 3)
    assert tick(worker) == 3


@pytest.mark.parametrize("bounds", [(0, 4), (5, 4), (-1, -1)])
def test_bounds_that_cannot_hold_change_nothing(clock: FakeClock, bounds: tuple[int, int]) -> None:
    step = scaler(FakeWorker((2, 8), clock))

    with pytest.raises(ConfigError, match="size needs 1 <= lower <= upper, not"):
        step.bound(*bounds)

    assert (step.lower, step.upper) == (2, 8)


@pytest.mark.parametrize("state", State)
def test_only_a_worker_that_serves_is_scaled(clock: FakeClock, state: State) -> None:
    worker = FakeWorker((1, 6), clock, demand=5)
    scaler(worker)
    worker.state = state

    assert tick(worker) == (5 if state in (State.RUNNING, State.RELOADING) else 1)


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
    worker = FakeWorker(size=(1, 6), clock=clock, demand=3)
    scaler(worker)
    assert tick(worker) == 3
    worker.memory.may_grow, worker.demand_now = False, 6
    assert tick(worker) == 3
    worker.demand_now = 1
    clock.advance(31.0)
    assert tick(worker) == 1
    worker.memory.may_grow, worker.demand_now = True, 6
    assert tick(worker) == 6
