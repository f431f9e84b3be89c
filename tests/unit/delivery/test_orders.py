"""What an operator or a stop orders of runs that go on."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.delivery.desk import Desk
from tests.unit.delivery.fakes import delivery, message
from workerd.delivery import Limits
from workerd_pool import Cause, Interruption


@pytest.fixture
def desk() -> Desk:
    desk = Desk()
    desk.pool.on_returned = desk.dispatcher.runs.on_returned
    return desk


def terminate(desk: Desk, task_id: str, **options: Any) -> list[str]:
    return desk.dispatcher.orders.terminate(task_id, **{"kill": False, "grace": 5.0, **options})


def stored(desk: Desk) -> list[tuple[str, str]]:
    return [(task_id, state) for task_id, state, _ in desk.results.stored]


def test_a_stop_interrupts_what_runs(desk: Desk) -> None:
    desk.take(delivery("t1"), delivery("t2"))
    desk.dispatcher.drain(lambda: None)
    desk.dispatcher.orders.soft_stop()
    assert desk.pool.interrupted == [(1, Interruption.STOP, None), (2, Interruption.STOP, None)]


def test_what_a_stop_cuts_off_goes_back_and_is_counted(desk: Desk) -> None:
    desk.take(delivery("t1"), delivery("t2"))
    desk.dispatcher.drain(lambda: None)
    desk.dispatcher.orders.soft_stop()
    desk.done({"state": "REJECTED", "requeue": True, "stopped": True})
    desk.done()
    assert (desk.source.given_back, desk.source.settled) == (["t1"], ["t2"])
    assert stored(desk) == [("id-t2", "SUCCESS")]
    assert (desk.dispatcher.totals.interrupted, desk.dispatcher.totals.rejected) == (1, 0)


def test_terminate_interrupts_and_leaves_a_grace(desk: Desk) -> None:
    desk.take(delivery("t1"))
    assert terminate(desk, "id-t1") == ["interrupted"]
    assert desk.pool.interrupted == [(1, Interruption.TERMINATE, 5.0)]
    desk.done({"state": "REVOKED", "store": True})
    assert stored(desk) == [("id-t1", "REVOKED")]
    assert desk.source.settled == ["t1"]
    assert desk.dispatcher.totals.revoked == 1


def test_a_terminated_run_that_ends_by_itself_has_ended(desk: Desk) -> None:
    desk.take(delivery("t1"))
    terminate(desk, "id-t1")
    desk.done()
    assert stored(desk) == [("id-t1", "SUCCESS")]


def test_kill_kills(desk: Desk) -> None:
    desk.take(delivery("t1"))
    assert terminate(desk, "id-t1", kill=True) == ["killed"]
    assert (desk.pool.killed, desk.pool.interrupted) == ([1], [])
    desk.lost(cause=Cause.OPERATOR)
    assert stored(desk) == [("id-t1", "REVOKED")]


def test_a_terminated_run_whose_child_dies_of_something_else_does_not_run_again(desk: Desk) -> None:
    desk.take(delivery("t1"))
    terminate(desk, "id-t1")
    desk.lost()
    assert desk.pool.jobs == []
    assert stored(desk) == [("id-t1", "REVOKED")]
    assert desk.source.settled == ["t1"]


@pytest.mark.parametrize("kill", [False, True])
def test_a_job_that_no_child_has_read_does_not_run(desk: Desk, kill: bool) -> None:
    desk.take(delivery("t1"))
    desk.pool.unread = [1]
    assert terminate(desk, "id-t1", kill=kill) == ["revoked before it ran"]
    assert desk.pool.jobs == []
    assert stored(desk) == [("id-t1", "REVOKED")]


def test_what_waits_here_is_not_begun(desk: Desk) -> None:
    desk.pool.alive = 0
    later = desk.clock.wall() + 60
    desk.take(delivery("t1"), delivery("t2", message("id-t2", eta=later)), delivery("t3"))
    assert terminate(desk, "id-t1") == terminate(desk, "id-t2") == ["revoked before it ran"]
    assert desk.timer.entries[-1].cancelled
    desk.pool.alive = 2
    desk.dispatcher.pump()
    assert [job.title for job in desk.pool.jobs] == ["proj.add[id-t3]"]
    assert desk.source.settled == ["t1", "t2"]


def test_what_waits_for_its_early_acknowledgement_is_not_begun(desk: Desk) -> None:
    desk.source.confirm = False
    desk.take(delivery("t1", message("id-t1", task="proj.early")))
    assert terminate(desk, "id-t1") == ["revoked before it ran"]
    (request,) = desk.dispatcher.table
    desk.dispatcher.default._acknowledged(request)
    assert desk.pool.jobs == []
    assert stored(desk) == [("id-t1", "REVOKED")]


def test_an_id_that_is_not_here_and_one_that_has_ended_are_told(desk: Desk) -> None:
    assert terminate(desk, "id-t9") == []
    desk.results.confirm = False
    desk.take(delivery("t1"))
    desk.done()
    assert terminate(desk, "id-t1") == ["had ended"]
    assert stored(desk) == [("id-t1", "SUCCESS")]


def test_new_limits_hold_for_what_runs_and_for_what_will(desk: Desk) -> None:
    desk.pool.alive = 1
    desk.take(delivery("t1"), delivery("t2"))
    assert desk.dispatcher.orders.limit("proj.add", Limits(soft=2, hard=5)) == 1
    assert desk.dispatcher.orders.limit("proj.mul", Limits(soft=2)) == 0
    assert desk.pool.limited == [(1, 2, 5)]
    desk.done()
    assert (desk.pool.jobs[0].soft_limit, desk.pool.jobs[0].hard_limit) == (2, 5)
    assert desk.dispatcher.orders.limit("proj.add", None) == 1
    assert desk.pool.limited[-1] == (2, None, None)
