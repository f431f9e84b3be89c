"""Drains and kills: what has not started goes back, and the rest is waited for or cut off."""

from __future__ import annotations

from tests.unit.delivery.desk import Desk
from tests.unit.delivery.fakes import delivery, message


def test_a_drain_gives_back_what_has_not_started_and_waits_for_the_rest(desk: Desk) -> None:
    idle: list[bool] = []
    desk.take(
        delivery("t1"), delivery("t2"), delivery("t3"), delivery("t4", message(eta=desk.clock.wall() + 9))
    )
    desk.dispatcher.drain(lambda: idle.append(True))

    assert sorted(desk.source.given_back) == ["t3", "t4"]
    assert desk.source.room == 0
    assert not idle
    desk.done(), desk.done()
    assert idle == [True]


def test_a_drain_of_an_idle_node_is_over_at_once(desk: Desk) -> None:
    idle: list[bool] = []
    desk.dispatcher.drain(lambda: idle.append(True))
    assert idle == [True]


def test_deliveries_that_come_while_draining_are_given_back(desk: Desk) -> None:
    desk.dispatcher.drain(lambda: None)
    desk.take(delivery("t9"))
    assert desk.source.given_back == ["t9"]


def test_a_kill_gives_back_what_it_cuts_off(desk: Desk) -> None:
    desk.take(delivery("t1"))
    assert desk.source.room == 1
    desk.dispatcher.kill()
    assert desk.source.room == 0
    desk.lost()
    assert desk.source.given_back == ["t1"]
    assert desk.pool.jobs == []


def test_an_expired_message_whose_result_is_being_stored_is_not_given_back_too(desk: Desk) -> None:
    desk.results.confirm = False
    desk.take(delivery("t1", message(expires=desk.clock.wall() - 1)))
    desk.dispatcher.drain(lambda: None)
    assert desk.source.given_back == []
    desk.results.held.pop()()
    assert desk.source.settled == ["t1"]


def test_a_kill_tells_in_the_result_that_an_early_acknowledged_message_will_not_run(desk: Desk) -> None:
    desk.take(delivery("t1", message(task="proj.early")))
    job = desk.pool.finish()
    desk.pool.alive = 0
    desk.dispatcher.runs.on_returned(job)
    desk.dispatcher.kill()
    desk.dispatcher.give_back_all("the daemon was killed")

    assert desk.source.given_back == []
    assert desk.results.stored[-1][1] == "FAILURE"
    assert len(desk.dispatcher.table) == 0
