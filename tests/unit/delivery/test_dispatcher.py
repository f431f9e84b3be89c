"""The dispatcher with fakes around it: what it fetches, what it starts and when, and what never runs."""

from __future__ import annotations

import pytest

from tests.unit.delivery.desk import SUCCESS, Desk
from tests.unit.delivery.fakes import delivery, message
from workerd.delivery import Stage
from workerd.delivery.intake import SLICE
from workerd.delivery.lane import AGAIN


def test_what_has_no_slot_waits_here_and_starts_in_order(desk: Desk) -> None:
    desk.take(*(delivery(f"t{n}") for n in range(5)))

    assert [job.title for job in desk.pool.jobs] == ["proj.add[id-t0]", "proj.add[id-t1]"]
    desk.done()
    assert desk.pool.jobs[-1].title == "proj.add[id-t2]"


def test_the_first_of_many_begin_before_the_last_is_taken_in(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken_in: list[int] = []
    submit = desk.pool.submit
    monkeypatch.setattr(
        desk.pool, "submit", lambda job: (taken_in.append(len(desk.dispatcher.table)), submit(job))
    )
    desk.take(*(delivery(f"t{n}") for n in range(3 * SLICE)))

    assert taken_in == [SLICE, SLICE]
    assert len(desk.dispatcher.table) == 3 * SLICE
    assert desk.source.room == 0


def test_long_tasks_are_fetched_only_for_free_slots(desk: Desk) -> None:
    assert desk.source.room == 2
    desk.take(delivery("t1"))
    desk.done(SUCCESS | {"runtime": 30.0})

    assert desk.source.room == 2
    desk.take(delivery("t2"), delivery("t3"))
    assert desk.source.room == 0


def test_what_cannot_be_given_to_a_child_now_is_tried_again_and_holds_up_nothing(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    desk.pool.most = 1000
    large = [message(task_id=f"id-{n}", body=b"x" * 2000) for n in "ab"]
    desk.take(delivery("a", large[0]), delivery("b", large[1]), delivery("c"))

    assert [job.title for job in desk.pool.jobs] == ["proj.add[id-c]"]
    assert caplog.messages == [
        "Task proj.add[id-a] cannot be given to a child: [Errno 24] Too many open files; tried again in 1s"
    ]
    desk.done()
    (again,) = [entry for entry in desk.timer.entries if entry.secs == AGAIN]
    desk.pool.most = None
    again.fire()
    assert [job.title for job in desk.pool.jobs] == ["proj.add[id-a]", "proj.add[id-b]"]
    assert desk.dispatcher.deaths.of(delivery("a", large[0])).deaths == 0


def test_a_message_with_an_eta_waits_for_it(desk: Desk) -> None:
    desk.take(delivery("t1", message(eta=desk.clock.wall() + 30)))

    assert desk.pool.jobs == []
    assert desk.timer.entries[0].secs == 30
    desk.clock.advance(30)
    desk.timer.entries[0].fire()
    assert len(desk.pool.jobs) == 1


def test_an_expired_message_is_revoked_and_never_run(desk: Desk) -> None:
    desk.take(delivery("t1", message(expires=desk.clock.wall() - 1)))

    assert desk.pool.jobs == []
    assert [(i, s) for i, s, _ in desk.results.stored] == [("id-1", "REVOKED")]
    assert desk.source.settled == ["t1"]


def test_an_unknown_task_is_put_aside_and_its_result_says_so(desk: Desk) -> None:
    desk.take(delivery("t1", message(task="proj.gone")))

    assert desk.results.stored[0][1] == "FAILURE"
    assert desk.source.aside == [("t1", "unregistered task proj.gone")]


def test_a_malformed_message_is_put_aside_and_the_next_one_runs(desk: Desk) -> None:
    desk.take(delivery("bad", problem="no JSON"), delivery("t1"))

    assert desk.source.aside == [("bad", "no JSON")]
    assert len(desk.pool.jobs) == 1


def test_an_early_acknowledgement_is_confirmed_before_the_run() -> None:
    desk = Desk(confirm=False)
    desk.take(delivery("t1", message(task="proj.early")))
    assert desk.source.settled == ["t1"]
    assert desk.pool.jobs == []  # the broker has not confirmed it

    desk.source.confirm = True
    desk.dispatcher.attach(desk.source)  # type: ignore[arg-type]
    assert len(desk.pool.jobs) == 1
    desk.done()
    assert desk.source.settled == ["t1", "t1"]  # nothing is settled after the run
    assert len(desk.dispatcher.table) == 0


def test_stages_tell_where_a_request_is(desk: Desk) -> None:
    desk.take(delivery("t1"), delivery("t2"), delivery("t3"))
    stages = [request.stage for request in desk.dispatcher.table]
    assert stages == [Stage.RUNNING, Stage.RUNNING, Stage.RESERVED]


def test_what_is_held_has_a_bound_that_counts_messages_waiting_for_their_eta(desk: Desk) -> None:
    soon = desk.clock.wall() + 30
    desk.take(*(delivery(n, message(str(n), eta=soon)) for n in range(10_000)))
    assert desk.source.room == 0
