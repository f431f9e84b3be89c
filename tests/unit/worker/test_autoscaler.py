"""The autoscaler: what it sees of each pool, when it asks the broker, and what it does with a decision."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.clock import FakeClock
from workerd.config.model import Autoscale
from workerd.delivery import Prefetch
from workerd.errors import ConfigError, WorkerdError
from workerd.worker.autoscaler import Autoscaler, machine_load
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


def test_it_grows_by_what_the_broker_tells_and_says_why(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    rig.pool.runs(0.1, waiting=2)
    rig.source.counts = {"celery": 14}

    assert rig.tick() == [4]
    why = "est. wait 3.2 s over 1 s with 16 waiting"
    assert caplog.messages == [f"Pool default: from 1 to 4 slots: {why}"]
    assert rig.pool.reasons == [f"autoscale: {why}"]
    found = rig.step.status("default")
    assert found is not None
    assert found | {"use": 0.0} == {
        "target": 4,
        "reason": why,
        "wait": pytest.approx(3.2),
        "held": False,
        "waiting": 2,
        "backlog": 14,
        "task_time": 0.2,
        "use": 0.0,
    }


def test_it_shrinks_after_the_window_of_its_settings(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    pool = FakePool((1, 4), window=5.0, max_wait=1.0, max_load=0.0)
    rig = Rig(default=pool)
    pool.runs(0.5, waiting=3)
    assert rig.tick() == [4]
    pool.runs()
    assert [rig.tick()[0] for _ in range(6)] == [4, 4, 4, 4, 4, 1]
    assert caplog.messages[-1] == "Pool default: from 4 to 1 slots: idle for 5 s"


def test_the_use_of_slots_is_what_tasks_have_run_since_the_last_look(rig: Rig) -> None:
    rig.pool.wanted = 4
    rig.pool.runs(1.0, 1.0)
    rig.tick()
    rig.pool.lane.prefetch.record(1.5)  # one has ended after 0.5 s more, the other goes on
    rig.pool.runs(2.0)
    rig.tick()
    found = rig.step.status("default")
    assert found is not None and found["use"] == pytest.approx(1.5)


def test_a_task_that_runs_for_long_keeps_its_slot_and_no_other() -> None:
    rig = Rig(default=FakePool((1, 4), window=5.0, max_load=0.0))
    rig.pool.wanted = 4
    for second in range(10):
        rig.pool.runs(0.5 + second)
        rig.tick()
    assert rig.pool.wanted == 1


def test_an_idle_node_does_not_ask(rig: Rig) -> None:
    rig.tick(), rig.tick()
    assert rig.source.asked == []
    found = rig.step.status("default")
    assert found is not None and (found["backlog"], found["reason"]) == (None, "idle")
    rig.pool.runs(0.1)
    rig.tick()
    assert rig.source.asked == [["celery"]]


def test_each_pool_follows_its_own_queues_and_one_question_is_for_all() -> None:
    rig = Rig(
        default=FakePool((1, 4), "celery", "mail"),
        video=FakePool((1, 4), "video"),
        pdf=FakePool((2, 2), "pdf"),
    )
    for pool in rig.pools.values():
        pool.runs(0.1)
    rig.source.counts = {"celery": 1, "mail": 1, "video": 9, "pdf": 9}

    assert rig.tick() == [3, 4, 2]
    assert rig.source.asked == [["celery", "mail", "video"]]


def test_a_broker_that_does_not_answer_is_asked_once_and_decided_without(rig: Rig) -> None:
    rig.source.silent = True
    rig.pool.runs(0.1, waiting=9)
    assert rig.tick() == [1]
    assert rig.tick() == [2]  # by what waits here
    assert len(rig.source.asked) == 1

    rig.source.kept.pop()({"celery": 91})
    assert rig.pool.wanted == 8
    rig.tick()
    assert len(rig.source.asked) == 2


def test_a_new_link_is_asked_though_the_old_one_never_answered(rig: Rig) -> None:
    rig.source.silent = True
    rig.pool.runs(0.1)
    rig.tick()
    rig.dispatcher.settler.source = None
    assert rig.tick() == [1]
    rig.dispatcher.settler.source = new = FakeSource()
    new.counts = {"celery": 10}
    assert rig.tick() == [2]


def test_an_answer_that_comes_too_late_changes_nothing(rig: Rig) -> None:
    rig.source.silent = True
    rig.pool.runs(0.1)
    rig.tick()
    rig.state = State.DRAINING
    rig.source.kept[0]({"celery": 99})
    rig.state = State.RUNNING
    worker: Any = rig
    rig.step.stop(worker), rig.step.stop(worker)
    rig.source.kept[0]({"celery": 99})
    assert rig.pool.wanted == 1


@pytest.mark.parametrize("state", State)
def test_only_a_worker_that_serves_is_scaled(rig: Rig, state: State) -> None:
    rig.state = state
    rig.pool.runs(0.1, waiting=10)
    assert rig.tick() == ([2] if state in (State.RUNNING, State.RELOADING) else [1])


def test_a_fixed_size_is_left_alone() -> None:
    rig = Rig(default=FakePool((4, 4)))
    rig.pool.runs(0.1, waiting=9)
    rig.pool.wanted = 3  # somebody else's wish

    assert rig.tick() == [3]
    assert (rig.pool.reasons, rig.source.asked, rig.step.status("default")) == ([], [], None)
    assert rig.autoscaler is rig.step


def test_bounds_that_come_later_hold_from_the_next_tick_on_and_begin_a_window(rig: Rig) -> None:
    rig.pool.bounds, rig.pool.wanted = (6, 6), 6
    assert [rig.tick() for _ in range(60)] == [[6]] * 60
    rig.pool.bounds = (2, 8)
    assert [rig.tick()[0] for _ in range(32)] == [6] * 31 + [2]
    rig.pool.bounds = (1, 1)
    rig.tick()
    assert rig.step.status("default") is None


# -- what holds it


def test_without_memory_to_grow_by_it_only_shrinks(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    rig.memory.may_grow = False
    rig.pool.runs(0.1)
    rig.source.counts = {"celery": 10}
    for _ in range(3):
        assert rig.tick() == [1]
    why = "held: memory budget; est. wait 2.0 s over 1 s with 10 waiting"
    assert caplog.messages == [f"Pool default: no more slots than 1, {why}"]
    rig.memory.may_grow = True
    assert rig.tick() == [2]


def test_while_nothing_is_fetched_no_slot_is_added(rig: Rig) -> None:
    rig.dispatcher.paused = "memory is short"
    rig.pool.runs(0.1, waiting=1)
    rig.source.counts = {"celery": 10}
    assert rig.tick() == [1]
    rig.dispatcher.paused = ""
    assert rig.tick() == [3]


def test_a_busy_machine_holds_it_and_is_told_once_a_window(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    rig = Rig(default=FakePool((1, 4), max_load=2.0, window=10.0))
    load = 8.1
    rig.step.load = lambda: (load, 4)
    for second in range(20):
        rig.pool.runs(0.1, waiting=second % 2)
        assert rig.tick() == [1]
    assert len(caplog.messages) == 1
    assert "held: load 8.1 on 4 CPUs" in caplog.messages[0]
    load = 8.0
    assert rig.tick() == [2]


def test_the_load_is_that_of_the_machine() -> None:
    load, cpus = machine_load()
    assert load >= 0
    assert cpus >= 1


# -- what extensions know


def test_it_tells_its_bounds_and_what_it_has(rig: Rig) -> None:
    rig.pool.runs(0.1, waiting=2)
    expected = {"max": 8, "min": 1, "current": 1, "qty": 3}
    assert rig.step.info() == expected
    assert rig.step.info(rig) == {"autoscaler": expected}
    assert (rig.step.qty, rig.step.processes) == (3, 1)


def test_new_bounds_come_as_max_and_min(rig: Rig) -> None:
    assert rig.step.update(max=6, min=3) == (6, 3)
    assert rig.pool.wanted == 3
    assert rig.step.update(max=4) == (4, 3)
    assert rig.step.update(min=2) == (4, 2)
    with pytest.raises(ConfigError, match="1 <= lower <= upper, not 5-4"):
        rig.step.update(min=5)
    with pytest.raises(ConfigError, match="at most 1000 slots"):
        rig.step.update(max=5000)
    assert rig.pool.bounds == (2, 4)


def test_an_extension_scales_within_the_bounds_and_its_wish_stays_for_a_window(rig: Rig) -> None:
    assert rig.step.scale_up(3) == 4
    assert [rig.tick()[0] for _ in range(32)] == [4] * 31 + [1]
    assert rig.step.scale_up(99) == 8
    assert rig.step.scale_down(3) == 5
    assert rig.step.scale_down(99) == 1
    assert rig.pool.bounds == (1, 8)


def test_while_memory_is_short_an_extension_makes_a_pool_no_larger(rig: Rig) -> None:
    rig.pool.memory.short = "memory is short: all of it is in use"
    for grow in (rig.step.scale_up, rig.step.force_scale_up):
        with pytest.raises(
            WorkerdError, match=r"pool default cannot grow from 1 to 3 slots now, memory is short"
        ):
            grow(2)
    with pytest.raises(WorkerdError, match="from 1 to 4"):
        rig.step.update(min=4)
    assert (rig.pool.wanted, rig.pool.bounds) == (1, (1, 8))
    assert rig.step.update(max=9) == (9, 1)
    assert rig.step.scale_down(1) == 1


def test_by_force_the_bounds_give_way(rig: Rig) -> None:
    rig.pool.bounds, rig.pool.wanted = (3, 4), 4
    assert (rig.step.force_scale_up(2), rig.pool.bounds) == (6, (3, 6))
    assert (rig.step.force_scale_down(4), rig.pool.bounds) == (2, (2, 6))
    assert (rig.step.force_scale_down(9), rig.pool.bounds) == (1, (1, 6))


# -- its life


def test_it_starts_and_stops_its_timer_once(rig: Rig) -> None:
    worker: Any = rig
    rig.step.start(worker)
    assert [seconds for seconds, _, _ in rig.timer.entries] == [1.0]
    rig.step.stop(worker), rig.step.stop(worker)
    assert rig.timer.entries == []
