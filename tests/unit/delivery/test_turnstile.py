"""Rate-limited tasks: begun in their turn, out of the way of all others, and never hoarded."""

from __future__ import annotations

from tests.unit.delivery.fakes import FakePool, delivery, message
from tests.unit.delivery.rated import RatedDesk, desk, names
from workerd.delivery import Stage, TaskOptions
from workerd.delivery.settler import LASTS

__all__ = ["desk"]


def test_a_limited_task_begins_in_its_turn_and_in_its_order(desk: RatedDesk) -> None:
    desk.limit(5.0)
    desk.send(*names("m", 4))
    desk.finish_all()
    assert desk.began == ["m0"]
    desk.let_pass(0.19)
    assert desk.began == ["m0"]
    desk.let_pass(0.02)
    assert desk.began == ["m0", "m1"]
    desk.let_pass(10)
    assert desk.began == list(names("m", 4))
    assert desk.timer.wait() is None  # nobody waits any more, so nothing wakes the loop


def test_others_go_before_it_in_the_slots_that_it_does_not_use(desk: RatedDesk) -> None:
    desk.limit(1 / 60)
    desk.send(*names("m", 3))
    desk.send("a0", "a1", task="proj.add")
    assert desk.running == ["m0", "a0"]
    assert desk.stages() == {Stage.RUNNING: 2, Stage.RESERVED: 1, Stage.LIMITED: 2}


def test_what_waits_for_its_turn_takes_no_slot_and_no_room(desk: RatedDesk) -> None:
    desk.limit(1 / 3600)
    desk.send("m0", "m1"), desk.finish_all()
    room = desk.source.room
    desk.send("m2", "m3")
    assert desk.lane.demand() == desk.lane.waiting() == 0
    assert desk.source.room > room  # all that came waits: there may be others behind it
    desk.send("a0", task="proj.add")
    assert (desk.running, desk.source.room) == (["a0"], room - 1)


def test_no_turn_is_saved_up_while_no_slot_is_free(desk: RatedDesk) -> None:
    desk.limit(10.0)
    desk.send("a0", "a1", task="proj.add"), desk.send(*names("m", 5))
    desk.let_pass(3600, finish=False)
    assert desk.running == ["a0", "a1"]
    desk.finish_all()
    assert desk.began == ["a0", "a1", "m0"]
    desk.let_pass(0.1)
    assert desk.began[3:] == ["m1"]


def test_ten_limited_tasks_cost_the_others_nothing() -> None:
    desk = RatedDesk(slots=4)
    for number in range(10):
        desk.lane.tasks = {**desk.lane.tasks, f"proj.t{number}": TaskOptions()}
        desk.limit(1 / 3600, f"proj.t{number}")
        desk.send(*names(f"{number}.", 50), task=f"proj.t{number}")
    desk.finish_all()
    assert len(desk.began) == 10  # the first of each
    asked = Asked(desk)
    for number in range(500):
        desk.send(f"a{number}", task="proj.add")
        desk.finish_all()
    assert len(desk.began) == 510
    assert asked.count == 0


class Asked:
    """Counts how often a bucket is asked."""

    def __init__(self, desk: RatedDesk) -> None:
        self.count = 0
        for task, bucket in list(desk.dispatcher.rates.limited.items()):
            self._bucket = bucket
            desk.dispatcher.rates.buckets[task] = self

    def consume(self, tokens: float = 1) -> bool:
        self.count += 1
        return False

    def expected_time(self, tokens: float = 1) -> float:
        return 3600.0


def test_waiting_wakes_the_loop_once_for_each_turn(desk: RatedDesk) -> None:
    desk.limit(1.0)
    desk.send(*names("m", 1000))
    desk.finish_all()
    desk.let_pass(LASTS)  # what ran is looked at once
    assert len(desk.timer.queue) == 1
    desk.let_pass(10)
    assert len(desk.began) == 11


def test_a_limit_is_the_nodes_and_a_pool_without_a_slot_holds_up_no_other(desk: RatedDesk) -> None:
    lane = desk.dispatcher.lanes["video"] = type(desk.lane)(desk.dispatcher, "video", ("video",))
    lane.pool, lane.tasks = FakePool(alive=1), desk.lane.tasks  # type: ignore[assignment]
    desk.dispatcher.belongs("video", lane)
    desk.limit(1.0)
    desk.send("a0", "a1", task="proj.add")
    desk.send("m0", "m1")
    desk.take(*(delivery(one, message(one, task="proj.mail"), queue="video") for one in ("v0", "v1")))
    assert desk.dispatcher.table.with_id("v0")[0].stage is Stage.RUNNING
    lane.pool.jobs.clear()  # type: ignore[attr-defined, union-attr]
    desk.let_pass(1.0, finish=False)
    assert desk.dispatcher.table.with_id("v1")[0].stage is Stage.RUNNING
    assert desk.running == ["a0", "a1"]


# -- turns that are far away ------------------------------------------------------------------------------


def test_those_whose_turn_comes_soon_wait_here_and_the_rest_in_the_broker(desk: RatedDesk) -> None:
    desk.limit(1.0)
    desk.send(*names("m", 100)), desk.finish_all()
    assert desk.stages() == {Stage.LIMITED: 61}  # the bucket was full as they came
    assert desk.source.parked_tags == list(names("m", 100))[62:]


def test_a_few_wait_here_however_far_away_their_turns_are(desk: RatedDesk) -> None:
    desk.limit(1 / 3600)
    desk.send(*names("m", 30)), desk.finish_all()
    assert desk.stages() == {Stage.LIMITED: 10}


def test_not_all_of_a_fast_task_wait_here(desk: RatedDesk) -> None:
    desk.limit(100.0)
    desk.send(*names("m", 1500)), desk.finish_all()
    assert desk.stages() == {Stage.LIMITED: 1000}


def test_they_come_again_within_half_a_minute_or_about_a_hundred_a_second(desk: RatedDesk) -> None:
    desk.limit(1 / 3600)
    desk.send(*names("m", 30))
    away = [delivery(f"a{number}", message(f"a{number}", task="proj.mail")) for number in range(20)]
    desk.take(*away)
    now = desk.clock.wall()
    assert all(15 <= one.until - now <= 30 for one in away)
    desk.source.parked_tags *= 250  # ten thousand
    many = [delivery(f"b{number}", message(f"b{number}", task="proj.mail")) for number in range(20)]
    desk.take(*many)
    assert all(len(desk.source.parked_tags) / 210 <= one.until - now for one in many)


def test_what_the_broker_cannot_keep_waits_here(desk: RatedDesk) -> None:
    desk.source.parks = False
    desk.limit(1 / 3600)
    desk.send(*names("m", 30)), desk.finish_all()
    assert desk.stages() == {Stage.LIMITED: 29}
    assert {request.delivery.until for request in desk.dispatcher.table} == {0.0}


def test_what_the_broker_refuses_after_all_waits_here(desk: RatedDesk) -> None:
    desk.source.confirm = False
    desk.limit(1 / 3600)
    desk.send(*names("m", 12))
    desk.source.parks = False
    desk.source.refusals.pop()()
    assert desk.stages() == {Stage.RUNNING: 1, Stage.LIMITED: 11}


def test_more_is_asked_for_while_all_that_comes_waits_for_its_turn(desk: RatedDesk) -> None:
    desk.limit(1 / 3600)
    desk.send("m0"), desk.send("m1")
    rooms = []
    for number in range(8):
        desk.send(f"n{number}", f"o{number}")
        rooms.append(desk.source.room)
    assert rooms[0] < rooms[-1] == 1 + 100


# -- the limit changes ---------------------------------------------------------------------------------


def test_a_limit_that_goes_lets_all_begin_in_their_order(desk: RatedDesk) -> None:
    desk.limit(1 / 3600)
    desk.send(*names("m", 5)), desk.finish_all()
    desk.limit(0)
    desk.finish_all()
    assert desk.began == list(names("m", 5))
    assert desk.dispatcher.rates.limited == {}


def test_a_limit_that_comes_holds_what_is_ready_already(desk: RatedDesk) -> None:
    desk.send("a0", "a1", task="proj.add"), desk.send(*names("m", 3))
    desk.limit(1.0)
    desk.finish_all()
    assert desk.began == ["a0", "a1", "m0"]
    desk.let_pass(2.5)
    assert desk.began[3:] == ["m1", "m2"]


def test_a_faster_limit_is_in_force_at_once(desk: RatedDesk) -> None:
    desk.limit(1 / 3600)
    desk.send(*names("m", 3)), desk.finish_all()
    desk.let_pass(60)
    desk.limit(10.0)
    desk.let_pass(1)
    assert desk.began == ["m0", "m1", "m2"]


def test_the_same_limit_again_gives_no_turn_away(desk: RatedDesk) -> None:
    desk.limit(1.0)
    desk.send(*names("m", 9)), desk.finish_all()
    for _ in range(20):
        desk.limit(1.0)
        desk.let_pass(0.1)
    assert len(desk.began) == 3
