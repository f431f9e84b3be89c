"""Revokes: what is not run although its message comes."""

from __future__ import annotations

import json

from tests.support.clock import FakeClock
from tests.unit.delivery.desk import Desk
from tests.unit.delivery.fakes import delivery
from tests.unit.protocol.wire_vectors import vector
from workerd.delivery import Stage
from workerd.delivery.revokes import MOST_STAMPED, Revokes
from workerd.protocol.message import message_from_redis


def test_an_id_holds_for_its_time_and_no_longer(clock: FakeClock) -> None:
    revokes = Revokes(clock, keep=60.0)
    assert not revokes
    revokes.add(["a"])
    clock.advance(59.0)
    assert revokes and "a" in revokes
    clock.advance(1.0)
    assert "a" not in revokes
    assert revokes.ids == []
    assert not revokes


def test_the_oldest_ids_go_when_they_are_too_many(clock: FakeClock) -> None:
    revokes = Revokes(clock, most=3)
    for one in "abcd":
        revokes.add([one])
    assert revokes.ids == ["b", "c", "d"]
    revokes.add(["b"])  # again, and so the newest
    revokes.add(["e"])
    assert revokes.ids == ["d", "b", "e"]


def test_a_stamp_holds_whatever_is_on_either_side_a_list(clock: FakeClock) -> None:
    message = message_from_redis(vector("task-v2-stamped")["raw_envelope"].encode())
    revokes = Revokes(clock)
    revokes.add_stamps({"nobody": ["bears"]})
    assert not revokes.hold(message)
    name, value = next(iter(stamps(message.payload).items()))
    revokes.add_stamps({name: ["other", value if not isinstance(value, list) else value[0]]})
    assert revokes.hold(message)


def stamps(payload: bytes) -> dict[str, object]:
    found: dict[str, object] = json.loads(payload)["headers"]["stamps"]
    return found


def test_stamps_are_bounded_and_what_is_no_value_is_none(clock: FakeClock) -> None:
    revokes = Revokes(clock)
    revokes.add_stamps({"a": list(range(MOST_STAMPED + 5)), "b": [{"not": "hashable"}]})
    assert len(revokes._stamps) == MOST_STAMPED


def test_a_message_that_comes_after_its_revoke_is_settled_with_its_result(desk: Desk) -> None:
    desk.dispatcher.revokes.add(["id-t1"])
    desk.take(delivery("t1"), delivery("t2"))
    assert [stored[:2] for stored in desk.results.stored] == [("id-t1", "REVOKED")]
    assert "revoked" in str(desk.results.stored[0])
    assert len(desk.pool.jobs) == 1


def test_what_waits_here_is_revoked_at_once_and_what_runs_goes_on(desk: Desk) -> None:
    desk.take(*(delivery(f"t{number}") for number in range(4)))
    running = {request.id for request in desk.dispatcher.table.in_stage(Stage.RUNNING)}
    assert len(running) == 2
    desk.dispatcher.orders.revoke_waiting(lambda request: True)
    assert {stored[0] for stored in desk.results.stored} == {f"id-t{number}" for number in range(4)} - running
    desk.done()
    assert len(desk.pool.jobs) == 1
