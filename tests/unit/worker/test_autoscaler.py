"""The autoscaler: what it sees of each pool, when it asks the broker, and what it does with a decision."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from tests.unit.worker.scaled import FakePool, FakeSource, Rig, rig
from workerd.worker.life.lifecycle import State

__all__ = ["rig"]


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


def test_it_starts_and_stops_its_timer_once(rig: Rig) -> None:
    worker: Any = rig
    rig.step.start(worker)
    assert [seconds for seconds, _, _ in rig.timer.entries] == [1.0]
    rig.step.stop(worker), rig.step.stop(worker)
    assert rig.timer.entries == []
