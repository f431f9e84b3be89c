"""What the supervisor does for those who wait for a call that has ended without its child."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.delivery.desk import Desk
from tests.unit.delivery.fakes import delivery, message
from workerd_pool import Cause

BODY = {"task": "body", "args": [], "kwargs": {}, "options": {}, "subtask_type": None, "immutable": False}
ENDED = {"state": "REVOKED", "store": True}


def call(**embed: Any) -> Any:
    body = json.dumps([[], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None, **embed}])
    return message(task_id="id-t1", body=body.encode(), expires=1.0)


def turn(desk: Desk) -> None:
    """What was to happen in the loop's next turn."""
    due = [entry for entry in desk.timer.entries if entry.secs == 0.0]
    for entry in due:
        desk.timer.entries.remove(entry)
        entry.fire()


def stored(desk: Desk) -> list[tuple[str, str]]:
    return [(task_id, state) for task_id, state, _ in desk.results.stored]


@pytest.mark.parametrize("embed", [{"chord": BODY}, {"chain": [BODY]}, {"errbacks": [BODY]}], ids=str)
def test_a_child_tells_who_waits_for_a_call_that_has_expired(desk: Desk, embed: Any) -> None:
    desk.take(delivery("t1", call(**embed)))
    turn(desk)
    (job,) = desk.pool.jobs
    assert job.header["ended"] == {
        "state": "REVOKED",
        "error": {
            "exc_type": "TaskRevokedError",
            "exc_message": ["expired"],
            "exc_module": "celery.exceptions",
        },
    }
    assert (job.soft_limit, job.hard_limit, stored(desk), desk.source.settled) == (None, None, [], [])
    desk.done(ENDED)
    assert (stored(desk), desk.source.settled) == ([("id-t1", "REVOKED")], ["t1"])
    assert (desk.dispatcher.totals.expired, desk.dispatcher.totals.revoked) == (1, 0)


def test_nobody_is_bothered_where_nobody_waits(desk: Desk) -> None:
    desk.take(delivery("t1", call()), delivery("t2", call(callbacks=[BODY])))
    turn(desk)
    assert (desk.pool.jobs, desk.source.settled) == ([], ["t1", "t2"])


def test_while_the_broker_is_away_it_is_told_again(desk: Desk) -> None:
    desk.take(delivery("t1", call(chord=BODY)))
    turn(desk)
    desk.done({"state": "REJECTED", "requeue": True})
    assert (len(desk.pool.jobs), desk.source.settled) == (1, [])
    desk.done(ENDED)
    assert desk.source.settled == ["t1"]


def test_a_child_that_dies_of_it_leaves_the_result_at_least(desk: Desk) -> None:
    desk.take(delivery("t1", call(chord=BODY)))
    turn(desk)
    desk.lost(cause=Cause.SIGNAL)
    assert (stored(desk), desk.source.settled, desk.pool.jobs) == ([("id-t1", "REVOKED")], ["t1"], [])


def test_a_stop_gives_back_what_has_not_been_told(desk: Desk) -> None:
    desk.pool.alive = 0
    desk.dispatcher.intake.take(delivery("t1", call(chord=BODY)))
    desk.lane.ready[0].unwanted = True
    desk.dispatcher.orders.revoke(desk.lane.ready.popleft())
    assert len(desk.lane.ready) == 1
    desk.dispatcher.drain(lambda: None)
    assert (desk.source.given_back, stored(desk)) == (["t1"], [])
