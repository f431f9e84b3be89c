"""Runs that end by themselves: what is stored, and what becomes of their messages."""

from __future__ import annotations

from tests.unit.delivery.desk import Desk
from tests.unit.delivery.fakes import delivery, message


def test_a_success_is_stored_before_its_message_is_settled(desk: Desk) -> None:
    desk.results.confirm = False
    desk.take(delivery("t1"))

    desk.done()

    assert desk.results.stored == [("id-t1", "SUCCESS", b"meta")]
    assert desk.source.settled == []
    desk.results.held.pop()()
    assert desk.source.settled == ["t1"]
    assert len(desk.dispatcher.table) == 0


def test_a_failure_is_put_aside_where_the_task_does_not_acknowledge_failures(desk: Desk) -> None:
    desk.take(delivery("t1", message(task="proj.strict")))
    desk.done({"state": "FAILURE", "repr": "ValueError('x')", "store": True})

    assert desk.source.aside == [("t1", "failed: ValueError('x')")]


def test_a_rejection_with_requeue_gives_the_message_back(desk: Desk) -> None:
    desk.take(delivery("t1"))
    desk.done({"state": "REJECTED", "requeue": True})

    assert desk.source.given_back == ["t1"]


def test_a_rejection_is_stored_as_the_failure_that_its_result_tells(desk: Desk) -> None:
    desk.take(delivery("t1"))
    desk.done({"state": "REJECTED", "store": True})

    assert desk.results.stored == [("id-t1", "FAILURE", b"meta")]


def test_an_outcome_that_cannot_be_read_is_put_aside_as_our_own_failure(desk: Desk) -> None:
    desk.take(delivery("t1"))
    desk.done({"state": 7})

    assert desk.source.aside[0][1].startswith("could not be run: unreadable outcome")


def test_a_message_that_the_child_cannot_read_is_put_aside_and_fails(desk: Desk) -> None:
    desk.take(delivery("t1"))
    desk.done({"state": "FAILURE", "repr": "DecodeError('x')", "store": True, "refused": True})

    assert desk.source.aside == [("t1", "could not be run: DecodeError('x')")]
    assert desk.results.stored[-1][1] == "FAILURE"


def test_a_task_that_only_the_new_generation_knows_goes_to_it(desk: Desk) -> None:
    desk.take(delivery("t1"))
    desk.done({"state": "FAILURE", "refused": True, "unregistered": True})

    assert desk.results.stored == []
    assert [job.title for job in desk.pool.jobs] == ["proj.add[id-t1]"]
