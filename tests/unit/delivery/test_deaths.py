"""Deaths are counted per message, whoever dies and wherever it runs next."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from tests.unit.delivery.desk import Desk
from tests.unit.delivery.fakes import delivery, message
from workerd.delivery import TaskOptions
from workerd.delivery.deaths import Tally, mark_of
from workerd.protocol.message import Message
from workerd_pool import Cause


@dataclass
class FakeMemory:
    """What a state database would hold: the runs under way, and the counts."""

    running: dict[int, tuple[bytes, Tally]] = field(default_factory=dict)
    kept: dict[bytes, Tally] = field(default_factory=dict)
    unsaved: set[int] = field(default_factory=set)

    def began(self, number: int, mark: bytes, tally: Tally) -> None:
        self.running[number] = (mark, tally)
        self.unsaved.add(number)

    def ended(self, number: int) -> None:
        self.running.pop(number, None)

    def save(self) -> None:
        self.unsaved.clear()

    def calm(self) -> None:
        self.running.clear()

    def keep(self, mark: bytes, tally: Tally) -> None:
        self.kept[mark] = tally

    def forget(self, mark: bytes) -> None:
        del self.kept[mark]

    def next_supervisor(self) -> dict[bytes, Tally]:
        """What it finds when the last one was killed."""
        for mark, tally in self.running.values():
            self.kept[mark] = Tally(tally.deaths + 1, tally.supervisors + 1)
        self.running.clear()
        return self.kept


@pytest.fixture
def memory() -> FakeMemory:
    return FakeMemory()


@pytest.fixture
def desk(memory: FakeMemory) -> Desk:
    return a_desk(memory)


def a_desk(memory: FakeMemory) -> Desk:
    desk = Desk()
    desk.dispatcher.deaths.remember(memory, memory.next_supervisor())
    return desk


def test_what_runs_is_noted_before_a_child_has_it_and_struck_out_at_its_end(
    desk: Desk, memory: FakeMemory
) -> None:
    saved: list[bool] = []
    submit = desk.pool.submit
    desk.pool.submit = lambda job: (saved.append(job.id not in memory.unsaved), submit(job))  # type: ignore[assignment]
    desk.take(delivery("t1"), delivery("t2"), delivery("t3"))
    assert sorted(memory.running) == [1, 2]
    desk.done()
    assert sorted(memory.running) == [2, 3]
    assert saved == [True, True, True]
    desk.dispatcher.runs.on_returned(desk.pool.finish())
    desk.done(), desk.done()
    assert not memory.running
    assert not memory.kept


def test_a_supervisor_that_dies_counts_for_what_it_ran_and_for_nothing_else(
    desk: Desk, memory: FakeMemory
) -> None:
    desk.take(*(delivery(tag, message(tag)) for tag in "abc"))
    desk = a_desk(memory)
    desk.take(*(delivery(tag, message(tag)) for tag in "abc"))
    assert [request.deaths for request in desk.dispatcher.table] == [1, 1, 0]
    assert desk.pool.jobs[0].header["deaths"] == 1


def test_deaths_of_children_and_of_supervisors_add_up(desk: Desk, memory: FakeMemory) -> None:
    desk.take(delivery("t1"))
    desk.lost()
    desk = a_desk(memory)
    desk.take(delivery("t1"))
    desk.lost()

    assert desk.source.aside == [
        ("t1", "3 processes died while they ran it, the last: killed by signal 9 (SIGKILL)")
    ]
    assert desk.source.letters[0].deaths == 3
    assert not memory.kept


def test_a_message_that_comes_with_one_death_too_many_is_not_run_once_more(desk: Desk) -> None:
    desk.take(delivery("t1", message("a", deaths=3)))

    assert not desk.pool.jobs
    assert desk.source.aside == [("t1", "3 processes died while they ran it")]
    assert desk.results.stored[-1][:2] == ("a", "FAILURE")


def test_a_give_back_carries_the_count_and_is_no_longer_remembered_here(
    desk: Desk, memory: FakeMemory
) -> None:
    desk.take(delivery("t1"))
    desk.lost()
    assert list(memory.kept.values()) == [Tally(1)]
    desk.dispatcher.drain(lambda: None)
    desk.lost()

    assert (desk.source.given_back, desk.source.deaths) == (["t1"], [2])
    assert not memory.kept


def test_the_higher_of_two_counts_is_believed(memory: FakeMemory) -> None:
    memory.kept = {mark_of(delivery(1, message("a"))): Tally(1), mark_of(delivery(1, message("b"))): Tally(2)}
    desk = a_desk(memory)
    desk.take(delivery("t1", message("a", deaths=2)), delivery("t2", message("b", deaths=1)))
    assert [request.deaths for request in desk.dispatcher.table] == [2, 2]


def test_a_stop_that_ends_with_a_kill_is_no_death_of_what_runs(desk: Desk, memory: FakeMemory) -> None:
    desk.take(delivery("t1"))
    desk.dispatcher.drain(lambda: None)
    assert not memory.running
    desk.dispatcher.kill()
    desk.lost(cause=Cause.POOL)
    assert (desk.source.given_back, desk.source.deaths) == (["t1"], [0])


def test_a_child_that_dies_by_itself_while_the_others_are_killed_counts(desk: Desk) -> None:
    desk.take(delivery("t1"))
    desk.dispatcher.kill()
    desk.lost()
    assert (desk.source.given_back, desk.source.deaths) == (["t1"], [1])


def test_an_end_that_somebody_has_ordered_is_no_death(desk: Desk, memory: FakeMemory) -> None:
    desk.take(delivery("t1"))
    desk.lost(cause=Cause.OPERATOR)
    assert desk.source.settled == ["t1"]
    assert not memory.kept


def test_a_task_whose_child_was_killed_for_another_one_runs_again_and_no_death_counts(
    desk: Desk, memory: FakeMemory
) -> None:
    desk.take(delivery("t1"))
    desk.lost(cause=Cause.BYSTANDER)
    assert len(desk.pool.jobs) == 1
    assert [request.deaths for request in desk.dispatcher.table] == [0]
    assert not memory.kept
    desk.dispatcher.drain(lambda: None)
    desk.dispatcher.kill()
    desk.lost(cause=Cause.BYSTANDER)
    assert (desk.source.given_back, desk.source.deaths) == (["t1"], [0])


def test_a_task_that_was_acknowledged_early_fails_with_its_child_whomever_that_was_killed_for(
    desk: Desk,
) -> None:
    desk.take(delivery("t1", message(task="proj.early")))
    desk.lost(cause=Cause.BYSTANDER)
    assert not desk.pool.jobs
    assert desk.dispatcher.totals.failed == 1


def test_an_early_acknowledged_run_is_not_noted_because_it_never_comes_again(
    desk: Desk, memory: FakeMemory
) -> None:
    desk.take(delivery("t1", message(task="proj.early")))
    assert desk.pool.jobs
    assert not memory.running


def test_a_hard_limit_that_gives_back_each_time_comes_to_an_end(desk: Desk) -> None:
    desk.lane.tasks = {"proj.add": TaskOptions(acks_on_timeout=False)}
    for deaths in range(2):
        desk.take(delivery(f"t{deaths}", message(deaths=deaths)))
        desk.lost(cause=Cause.HARD_LIMIT, words="hard time limit (5s)", hard_limit=5.0)
    assert desk.source.deaths == [1, 2]
    desk.take(delivery("t2", message(deaths=2)))
    desk.lost(cause=Cause.HARD_LIMIT, words="hard time limit (5s)", hard_limit=5.0)
    assert desk.source.aside == [("t2", "3 processes died while they ran it, the last: hard time limit (5s)")]


def test_a_count_that_was_lost_with_the_link_is_remembered_for_the_redelivery(memory: FakeMemory) -> None:
    desk = Desk(survives_link=False)
    desk.dispatcher.deaths.remember(memory, {})
    desk.pool.alive = 1
    desk.take(delivery("t1", message("a")), delivery("t2", message("b")))
    desk.pool.alive = 0
    desk.lost()
    desk.dispatcher.detach()
    desk.dispatcher.attach(desk.source)  # type: ignore[arg-type]
    desk.take(delivery("t3", message("a"), redelivered=True))
    assert [(request.id, request.deaths) for request in desk.dispatcher.table] == [("a", 1)]


class TestSuspects:
    """Their next death is the last, and they may only have been beside the one that killed a daemon."""

    @pytest.fixture
    def desk(self, memory: FakeMemory) -> Desk:
        memory.kept = {mark_of(delivery(1, message(tag))): Tally(2, 2) for tag in "abc"}
        desk = a_desk(memory)
        desk.pool.alive = 4
        desk.take(*(delivery(tag, message(tag)) for tag in "abcde"))
        return desk

    def running(self, desk: Desk) -> list[str]:
        return [job.title for job in desk.pool.jobs]

    def test_they_run_one_at_a_time_and_others_beside_them(self, desk: Desk) -> None:
        assert self.running(desk) == ["proj.add[a]", "proj.add[d]", "proj.add[e]"]
        assert desk.source.room == 1
        desk.done()
        assert self.running(desk) == ["proj.add[d]", "proj.add[e]", "proj.add[b]"]

    def test_only_the_one_that_ran_is_put_aside(self, desk: Desk, memory: FakeMemory) -> None:
        desk = a_desk(memory)
        desk.take(*(delivery(tag, message(tag)) for tag in "abcde"))
        assert [tag for tag, _ in desk.source.aside] == ["a"]
        assert self.running(desk) == ["proj.add[b]", "proj.add[d]"]

    def test_the_next_one_runs_when_a_child_of_the_first_dies(self, desk: Desk) -> None:
        desk.lost()
        assert [tag for tag, _ in desk.source.aside] == ["a"]
        assert self.running(desk) == ["proj.add[d]", "proj.add[e]", "proj.add[b]"]


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (message("a"), True),
        (message("a", deaths=2), True),
        (message("a", retries=1), False),
        (message("a", replaced_task_nesting=1), False),
        (message("a", requeued="x"), False),
        (message("b"), False),
        (message("a", publisher_tag="p"), False),
    ],
)
def test_a_mark_is_of_one_publish(other: Message, same: bool) -> None:
    assert (mark_of(delivery(2, other)) == mark_of(delivery(1, message("a")))) is same


def test_a_publish_that_reached_two_queues_has_two_marks() -> None:
    content = message("a", publisher_tag="p")
    assert mark_of(delivery(1, content)) != mark_of(delivery(1, content, queue="other"))


def test_a_publishers_tag_is_all_that_counts_where_there_is_one() -> None:
    first, second = message("a", publisher_tag="p"), message("a", publisher_tag="p", retries=3)
    assert mark_of(delivery(1, first)) == mark_of(delivery(2, second))
