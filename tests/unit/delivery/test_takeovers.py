"""What another node has taken over: not begun here any more, and repeated if it runs."""

from __future__ import annotations

import math

import pytest

from tests.unit.delivery.desk import Desk
from tests.unit.delivery.fakes import FakeSource, delivery, message
from workerd.delivery import Stage


@pytest.fixture
def silent() -> Desk:
    """Its broker confirms nothing by itself."""
    return Desk(confirm=False)


def gone(desk: Desk, *tags: str) -> None:
    desk.dispatcher.takeovers.on_gone(tags)


def next_link(desk: Desk, *gone_tags: str) -> FakeSource:
    """A new link, whose start finds that ``gone_tags`` are gone: the lease had run out."""
    desk.dispatcher.detach()
    gone(desk, *gone_tags)
    desk.source = FakeSource(confirm=False)
    desk.dispatcher.attach(desk.source)  # type: ignore[arg-type]
    return desk.source


def test_what_waits_is_forgotten(desk: Desk) -> None:
    desk.take(delivery("t1"), delivery("t2"), delivery("t3"))
    desk.take(delivery("t4", message("late", eta=desk.clock.wall() + 5)))
    gone(desk, "t3", "t4", "unknown")
    desk.done(), desk.done()
    desk.timer.entries[0].fire()
    assert desk.pool.jobs == []
    assert desk.source.settled == ["t1", "t2"]
    assert len(desk.dispatcher.table) == 0
    assert desk.dispatcher.totals.repeated == 0


def test_what_runs_goes_on_and_is_counted_once(desk: Desk) -> None:
    desk.take(delivery("t1"))
    gone(desk, "t1"), gone(desk, "t1")
    desk.done()
    assert [state for _, state, _ in desk.results.stored] == ["SUCCESS"]
    assert desk.dispatcher.totals.repeated == 1
    assert len(desk.dispatcher.table) == 0


def test_a_taken_run_whose_child_dies_does_not_start_again(desk: Desk) -> None:
    desk.take(delivery("t1"))
    gone(desk, "t1")
    desk.lost()
    assert desk.pool.jobs == []
    assert len(desk.dispatcher.table) == 0


def test_a_settlement_that_came_too_late_is_a_repeat(silent: Desk) -> None:
    silent.take(delivery("t1"))
    silent.done()
    gone(silent, "t1")
    silent.source.waiting.pop()()
    assert silent.dispatcher.totals.repeated == 1
    assert len(silent.dispatcher.table) == 0


def test_a_settlement_over_a_lost_link_may_have_arrived(silent: Desk) -> None:
    silent.take(delivery("t1"))
    silent.done()
    new = next_link(silent, "t1")
    assert new.settled == ["t1"]
    gone(silent, "t1")  # so says its answer
    new.waiting.pop()()
    assert silent.dispatcher.totals.repeated == 0
    assert len(silent.dispatcher.table) == 0


def test_a_give_back_that_came_too_late_repeats_nothing(silent: Desk) -> None:
    silent.take(delivery("t1"), delivery("t2"), delivery("t3"))
    silent.dispatcher.drain(lambda: None)
    gone(silent, "t3")
    assert silent.dispatcher.totals.repeated == 0


class TestEarlyAcknowledgement:
    def early(self, desk: Desk) -> None:
        desk.take(delivery("t1", message(task="proj.early")))
        assert desk.source.settled == ["t1"]

    def test_what_was_acknowledged_is_not_among_what_the_next_link_holds(self, desk: Desk) -> None:
        """Else its tag would be renewed, and waited for, though nobody will ever settle it."""
        desk.take(delivery("t1", message(task="proj.early")), delivery("t2"))
        assert list(desk.dispatcher.table.tags) == ["t2"]
        assert len(desk.dispatcher.table) == 2

    def test_an_acknowledgement_that_the_broker_has_forgotten_is_made_again(self, desk: Desk) -> None:
        content = message(task="proj.early", publisher_tag="p")
        desk.take(delivery("t1", content))
        desk.dispatcher.detach()
        desk.dispatcher.attach(new := FakeSource())  # type: ignore[arg-type]
        desk.take(delivery("t1", content))  # in flight again, as before its last second
        assert new.settled == ["t1"]
        assert len(desk.pool.jobs) == 1
        desk.done()
        assert len(desk.dispatcher.table) == 0

    def test_one_that_came_too_late_does_not_run(self, silent: Desk) -> None:
        self.early(silent)
        gone(silent, "t1")
        silent.source.waiting.pop()()
        assert silent.pool.jobs == []
        assert len(silent.dispatcher.table) == 0
        assert silent.dispatcher.totals.repeated == 0

    def test_one_that_may_have_arrived_over_the_last_link_runs_while_the_lease_held(
        self, silent: Desk
    ) -> None:
        self.early(silent)
        new = next_link(silent)
        gone(silent, "t1")  # so says the answer to the second
        new.waiting.pop()()
        assert len(silent.pool.jobs) == 1

    def test_one_that_may_have_arrived_does_not_run_once_the_lease_had_run_out(self, silent: Desk) -> None:
        self.early(silent)
        new = next_link(silent, "t1")
        assert new.settled == []
        assert silent.pool.jobs == []
        assert len(silent.dispatcher.table) == 0

    def test_one_that_is_confirmed_stays_ours(self, silent: Desk) -> None:
        self.early(silent)
        silent.source.sure_until = -math.inf
        silent.source.waiting.pop()()
        gone(silent, "t1")
        assert len(silent.pool.jobs) == 1


class TestUnsure:
    def test_nothing_begins_until_it_is_sure_again(self, desk: Desk) -> None:
        desk.source.sure_until = desk.clock.now()
        desk.take(delivery("t1"), delivery("t2"))
        assert desk.pool.jobs == []
        desk.source.sure_until = desk.clock.now() + 1
        gone(desk)
        assert [job.title for job in desk.pool.jobs] == ["proj.add[id-t1]", "proj.add[id-t2]"]

    def test_a_machine_that_slept_is_not_sure_though_its_own_time_stood_still(self, desk: Desk) -> None:
        desk.source.sure_until = desk.clock.boottime() + 30
        desk.clock.suspend(30)
        desk.take(delivery("t1"))
        assert desk.pool.jobs == []

    def test_a_lost_link_leaves_the_lease_as_it_was(self, desk: Desk) -> None:
        desk.source.sure_until = desk.clock.now() + 30
        desk.take(delivery("t1"), delivery("t2"), delivery("t3"), delivery("t4"))
        desk.dispatcher.detach()
        desk.done()
        assert desk.pool.jobs[-1].title == "proj.add[id-t3]"
        desk.clock.advance(30)
        desk.done()
        assert [job.title for job in desk.pool.jobs] == ["proj.add[id-t3]"]


class TestWhatComesBack:
    """A node may be given again what others have taken from it."""

    def test_a_run_that_goes_on_is_joined_and_settled_under_its_new_tag(self, desk: Desk) -> None:
        desk.take(delivery("t1", message("a", publisher_tag="p")))
        gone(desk, "t1")
        desk.take(delivery("t2", message("a", publisher_tag="p")))
        assert len(desk.pool.jobs) == 1
        [request] = desk.dispatcher.table.in_stage(Stage.RUNNING)
        assert not request.taken
        desk.done()
        assert desk.source.settled == ["t2"]

    def test_a_run_that_has_ended_is_settled(self, desk: Desk) -> None:
        desk.take(delivery("t1", message("a", publisher_tag="p")))
        gone(desk, "t1")
        desk.done()
        desk.take(delivery("t2", message("a", publisher_tag="p")))
        assert desk.pool.jobs == []
        assert desk.source.settled == ["t1", "t2"]


class TestCounts:
    """What another node shall count, should this one die."""

    def test_a_run_would_die_with_us_and_one_that_has_ended_would_not(self, desk: Desk) -> None:
        desk.results.confirm = False
        desk.take(delivery("t1"))
        desk.runs_last()
        assert desk.source.notes == {"t1": 1}
        desk.done()
        assert desk.source.notes == {"t1": 0}

    def test_what_waits_at_its_child_behind_another_one_is_noted_once_it_runs(self, desk: Desk) -> None:
        desk.take(delivery("t1"), delivery("t2"))
        desk.dispatcher.runs.on_started(desk.pool.jobs[0], 4711)
        desk.look_what_lasts()
        assert desk.source.notes == {"t1": 1}
        desk.runs_last()
        assert desk.source.notes == {"t1": 1, "t2": 1}

    def test_a_run_that_is_over_at_once_is_not_noted(self, desk: Desk) -> None:
        desk.take(delivery("t1"))
        desk.done()
        desk.take(delivery("t2"))
        desk.runs_last()
        assert desk.source.notes == {"t2": 1}

    def test_a_run_that_may_have_ended_another_process_is_noted_before_it_begins(self, desk: Desk) -> None:
        desk.take(delivery("t1", redelivered=True), delivery("t2", message("b", deaths=1)))
        assert desk.source.notes == {"t1": 1, "t2": 2}

    def test_the_deaths_of_children_count_whether_it_runs_or_waits(self, desk: Desk) -> None:
        desk.take(delivery("t1"), delivery("t2"))
        desk.runs_last()
        desk.lost()
        assert desk.source.notes == {"t1": 2, "t2": 1}  # it runs again
        desk.pool.alive = 1
        desk.lost()
        assert desk.source.notes == {"t1": 2, "t2": 1}  # it waits

    def test_what_a_stop_kills_is_not_to_blame(self, desk: Desk) -> None:
        desk.take(delivery("t1"))
        desk.dispatcher.drain(lambda: None)
        assert desk.source.notes == {"t1": 0}

    def test_a_new_link_is_told_again(self, desk: Desk) -> None:
        desk.take(delivery("t1"))
        desk.dispatcher.detach()
        new = FakeSource()
        desk.dispatcher.attach(new)  # type: ignore[arg-type]
        assert new.notes == {"t1": 1}

    def test_what_was_acknowledged_early_is_nobody_elses(self, desk: Desk) -> None:
        desk.take(delivery("t1", message(task="proj.early")))
        assert desk.source.notes == {}
