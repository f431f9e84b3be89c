"""What becomes of tasks while they wait for their turn: none is lost, none holds up the next."""

from __future__ import annotations

import pytest

from tests.unit.delivery.fakes import FakeDeath, delivery, message
from tests.unit.delivery.rated import RatedDesk, desk, names
from workerd.delivery.settler import LASTS

__all__ = ["desk"]


def test_a_drain_gives_back_what_waits_for_its_turn(desk: RatedDesk) -> None:
    desk.limit(1 / 3600)
    desk.send(*names("m", 4))
    desk.dispatcher.drain(lambda: None)
    assert desk.source.given_back == ["m1", "m2", "m3"]
    desk.dispatcher.runs.on_started(desk.pool.jobs[0], 4711)
    desk.let_pass(LASTS, finish=False)
    assert desk.timer.wait() is None


def test_on_redis_what_waits_goes_on_waiting_over_a_lost_link(desk: RatedDesk) -> None:
    desk.limit(1.0)
    desk.send(*names("m", 3)), desk.finish_all()
    desk.dispatcher.detach()
    desk.dispatcher.attach(desk.source)  # type: ignore[arg-type]
    desk.finish_all()
    assert desk.began == ["m0"]
    desk.let_pass(2)
    assert desk.began == ["m0", "m1", "m2"]


def test_on_rabbitmq_what_waits_comes_again_and_its_limit_has_been_kept() -> None:
    desk = RatedDesk(survives_link=False)
    desk.limit(1.0)
    desk.send(*names("m", 3)), desk.finish_all()
    desk.dispatcher.detach()
    assert desk.stages() == {}
    desk.dispatcher.attach(desk.source)  # type: ignore[arg-type]
    desk.take(
        *(delivery(f"{one}again", message(one, task="proj.mail"), redelivered=True) for one in ("m1", "m2"))
    )
    desk.finish_all()
    assert desk.began == ["m0"]
    desk.let_pass(1)
    assert desk.began == ["m0", "m1"]


def test_rabbitmq_gets_back_what_has_waited_for_nearly_as_long_as_it_allows() -> None:
    desk = RatedDesk(survives_link=False)
    desk.dispatcher.holding.adopt_in(None, 1800.0)  # type: ignore[arg-type]
    desk.limit(1 / 3600)
    desk.take(*(delivery(one, message(one, task="proj.mail"), came=desk.clock.now()) for one in ("m0", "m1")))
    desk.finish_all()
    desk.let_pass(1430)
    assert desk.source.given_back == []
    desk.let_pass(20)
    assert desk.source.given_back == ["m1"]
    assert desk.lane.prefetch.mean is not None and desk.lane.prefetch.mean < 1


@pytest.mark.parametrize("which", [0, 1, 2])
def test_one_that_is_revoked_while_it_waits_leaves_its_turn_to_the_next(desk: RatedDesk, which: int) -> None:
    desk.limit(1.0)
    desk.send("a0", "a1", task="proj.add"), desk.send(*names("m", 3))  # the first is ready, two wait
    desk.dispatcher.orders.terminate(f"m{which}", kill=False, grace=1.0)
    desk.finish_all()
    desk.let_pass(5)
    assert desk.began == ["a0", "a1", *(name for name in names("m", 3) if name != f"m{which}")]


def test_one_that_expires_while_it_waits_takes_no_turn(desk: RatedDesk) -> None:
    desk.limit(1.0)
    desk.send("m0"), desk.finish_all()
    desk.send("m1", expires=desk.clock.wall() + 0.5), desk.send("m2")
    desk.let_pass(1.01)
    assert desk.began == ["m0", "m2"]
    assert desk.dispatcher.totals.expired == 1


def test_what_another_node_has_taken_over_leaves_its_turn_to_the_next(desk: RatedDesk) -> None:
    desk.limit(1.0)
    desk.send(*names("m", 3)), desk.finish_all()
    desk.dispatcher.takeovers.on_gone(["m1"])
    desk.let_pass(1.01)
    assert desk.began == ["m0", "m2"]


def test_a_run_that_its_childs_death_cut_off_takes_another_turn(desk: RatedDesk) -> None:
    desk.limit(1.0)
    desk.send("m0")
    desk.dispatcher.runs.on_started(desk.pool.jobs[0], 7)
    desk.dispatcher.runs.on_lost(desk.pool.finish(), FakeDeath())  # type: ignore[arg-type]
    assert desk.running == []
    desk.let_pass(1.01)
    assert desk.began == ["m0"]


def test_a_job_that_no_child_has_read_keeps_its_turn(desk: RatedDesk) -> None:
    desk.limit(1 / 3600)
    desk.send("m0")
    desk.dispatcher.runs.on_returned(desk.pool.finish())
    assert desk.running == ["m0"]


def test_one_that_is_acknowledged_early_takes_its_turn_before_that(desk: RatedDesk) -> None:
    desk.limit(1.0, "proj.early")
    desk.source.confirm = False
    desk.send("e0", "e1", task="proj.early")
    assert desk.source.settled == ["e0"]
    desk.source.waiting.pop()()
    assert desk.running == ["e0"]
    desk.let_pass(1.01)
    assert desk.source.settled == ["e0", "e1"]


def test_an_eta_comes_before_the_turn(desk: RatedDesk) -> None:
    desk.limit(1.0)
    desk.send("m0", "m1", eta=desk.clock.wall() + 5)
    desk.let_pass(4.9)
    assert desk.began == []
    desk.let_pass(0.2)
    assert desk.began == ["m0"]
    desk.let_pass(1)
    assert desk.began == ["m0", "m1"]
