"""How long a message may be here unsettled where the broker sets a time, and what becomes of it then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.unit.delivery.desk import Desk
from tests.unit.delivery.fakes import FakeSource, delivery, message
from workerd.delivery.holding import AGAIN, PATIENCE, Adopted
from workerd.delivery.request import Stage

TIMEOUT = 1800.0
NEAR = 0.8 * TIMEOUT


@dataclass
class FakeShelf:
    """Remembers what it was given; ``full`` refuses."""

    full: bool = False
    kept: dict[bytes, Adopted] = field(default_factory=dict)

    def put(self, adopted: Sequence[Adopted]) -> bool:
        if not self.full:
            self.kept |= {one.key: one for one in adopted}
        return not self.full

    def remove(self, key: bytes) -> None:
        del self.kept[key]


class HoldingDesk(Desk):
    """A desk whose broker takes back what is unsettled, and whose clock fires timers."""

    def __init__(self, **source: Any) -> None:
        super().__init__(**{"survives_link": False, **source})
        self.shelf = FakeShelf()
        self.dispatcher.holding.adopt_in(self.shelf, TIMEOUT)

    def came(self, tag: str, **fields: Any) -> None:
        self.take(delivery(tag, message(task_id=tag, **fields), came=self.clock.now()))

    def again(self, tag: str, task_id: str) -> None:
        """The broker delivers it once more, under ``tag``."""
        self.take(delivery(tag, message(task_id=task_id), came=self.clock.now(), redelivered=True))

    def wait(self, seconds: float) -> None:
        """Let so much time pass, with each timer at its time."""
        end = self.clock.now() + seconds
        while due := [e for e in self.timer.entries if not e.cancelled and self._at(e) <= end]:
            entry = min(due, key=self._at)
            self.timer.entries.remove(entry)
            self.clock.advance(self._at(entry) - self.clock.now())
            entry.fire()
        self.clock.advance(end - self.clock.now())

    def _at(self, entry: Any) -> float:
        if not hasattr(entry, "at"):
            entry.at = entry.secs + self.clock.now()
        return float(entry.at)

    def attached(self, **source: Any) -> FakeSource:
        """A new link."""
        self.dispatcher.detach()
        self.source = FakeSource(**{"survives_link": False, **source})
        self.dispatcher.attach(self.source)  # type: ignore[arg-type]
        return self.source


@pytest.fixture
def desk() -> HoldingDesk:
    return HoldingDesk()


def adopted(desk: HoldingDesk, tag: str = "a") -> Any:
    """A run that has just been adopted."""
    desk.came(tag)
    desk.wait(NEAR)
    assert desk.source.settled == [tag]
    assert len(desk.shelf.kept) == 1
    return desk.pool.jobs[0]


def test_a_run_is_adopted_near_the_brokers_time_and_not_before(desk: HoldingDesk) -> None:
    desk.came("a")
    desk.wait(NEAR - 1)
    assert not desk.source.settled
    desk.wait(1)
    assert desk.source.settled == ["a"]
    [kept] = desk.shelf.kept.values()
    assert kept.queue == "celery"
    assert kept.payload == desk.pool.jobs[0].body
    assert desk.dispatcher.totals.adopted == 1


def test_an_adopted_run_that_ends_is_forgotten_and_the_broker_is_told_nothing_more(
    desk: HoldingDesk,
) -> None:
    adopted(desk)
    desk.wait(10 * TIMEOUT)
    desk.done()
    assert desk.source.settled == ["a"]
    assert not desk.shelf.kept
    assert not len(desk.dispatcher.table)
    assert [state for _, state, _ in desk.results.stored] == ["SUCCESS"]


def test_nothing_is_acknowledged_that_could_not_be_written(desk: HoldingDesk) -> None:
    desk.shelf.full = True
    desk.came("a")
    desk.wait(NEAR + AGAIN)
    assert not desk.source.settled
    desk.shelf.full = False
    desk.wait(AGAIN)
    assert desk.source.settled == ["a"]
    assert len(desk.shelf.kept) == 1


def test_a_result_that_cannot_be_stored_does_not_hold_its_message(desk: HoldingDesk) -> None:
    desk.results.confirm = False
    desk.came("a")
    desk.done()
    desk.wait(NEAR)
    assert desk.source.settled == ["a"]
    desk.results.held.pop()()
    assert desk.source.settled == ["a"]
    assert not desk.shelf.kept


def test_what_waits_too_long_for_a_slot_is_given_back_and_not_fetched_again(desk: HoldingDesk) -> None:
    desk.lane.prefetch.record(0.001)
    for tag in "abcd":
        desk.came(tag)
    assert desk.source.room > 0
    desk.wait(PATIENCE)
    assert sorted(desk.source.given_back) == ["c", "d"]
    assert desk.source.room == 0
    assert len(desk.pool.jobs) == 2
    assert not desk.shelf.kept


def test_what_was_due_later_waits_for_its_slot_only_since_then(desk: HoldingDesk) -> None:
    desk.came("a"), desk.came("b")
    desk.came("c", eta=desk.clock.wall() + 50)
    desk.wait(PATIENCE + 40)
    assert not desk.source.given_back
    desk.wait(10)
    assert desk.source.given_back == ["c"]


def test_what_waits_for_its_time_is_given_back_before_the_broker_takes_it(desk: HoldingDesk) -> None:
    desk.dispatcher.parking.horizon = 10 * TIMEOUT
    desk.came("a", eta=desk.clock.wall() + 2 * TIMEOUT)
    desk.wait(NEAR - 1)
    assert not desk.source.given_back
    desk.wait(1)
    assert desk.source.given_back == ["a"]


def test_what_was_acknowledged_early_is_never_adopted(desk: HoldingDesk) -> None:
    desk.came("a", task="proj.early")
    assert desk.source.settled == ["a"]
    desk.wait(NEAR)
    assert desk.source.settled == ["a"]
    assert not desk.shelf.kept


def test_a_broker_that_waits_for_ever_is_left_alone() -> None:
    desk = HoldingDesk(survives_link=True)
    desk.came("a")
    desk.wait(10 * TIMEOUT)
    assert not desk.source.settled
    assert not desk.source.given_back


def test_an_acknowledgement_that_did_not_arrive_does_not_run_it_twice(desk: HoldingDesk) -> None:
    adopted(desk)
    source = desk.attached()
    desk.again("new", "a")
    assert source.settled == ["new"]
    assert len(desk.pool.jobs) == 1
    desk.done()
    assert source.settled == ["new"]
    assert not desk.shelf.kept


def test_a_run_whose_link_was_lost_is_adopted_by_its_new_delivery(desk: HoldingDesk) -> None:
    desk.came("a")
    desk.wait(NEAR - 1)
    source = desk.attached()
    desk.wait(2)
    assert not source.settled  # there is nothing to acknowledge
    desk.again("new", "a")
    desk.wait(NEAR)
    assert source.settled == ["new"]
    assert len(desk.shelf.kept) == 1


def test_an_adopted_run_whose_child_dies_runs_again_and_stays_adopted(desk: HoldingDesk) -> None:
    job = adopted(desk)
    desk.lost()
    assert [one.id for one in desk.pool.jobs] == [job.id]
    assert len(desk.shelf.kept) == 1
    desk.wait(TIMEOUT)
    assert desk.source.settled == ["a"]
    desk.done()
    assert not desk.shelf.kept


@pytest.mark.parametrize("up", [True, False], ids=["linked", "not-linked"])
def test_an_adopted_run_goes_back_by_a_publish_that_is_waited_for(desk: HoldingDesk, up: bool) -> None:
    adopted(desk)
    source = desk.attached(confirm=False)
    if not up:
        desk.dispatcher.detach()
    desk.done({"state": "REJECTED", "requeue": True, "repr": "Reject()"})
    if not up:
        source = desk.attached(confirm=False)
    [(word, key)] = source.given_back
    assert word == "adopted"
    assert key in desk.shelf.kept  # until the broker has it again
    source.waiting.pop()()
    assert not desk.shelf.kept
    assert not len(desk.dispatcher.table)


def test_an_adopted_message_is_put_aside_like_any_other(desk: HoldingDesk) -> None:
    adopted(desk)
    for _ in range(3):
        desk.lost()
    [((word, _), reason)] = desk.source.aside
    assert word == "adopted"
    assert "3 processes died" in reason
    assert not desk.shelf.kept


def test_another_kind_of_broker_is_not_given_what_it_never_had(desk: HoldingDesk) -> None:
    adopted(desk)
    source = desk.attached(survives_link=True)
    desk.done({"state": "REJECTED", "requeue": True, "repr": "Reject()"})
    assert not source.given_back
    assert len(desk.shelf.kept) == 1


def test_what_a_dead_supervisor_had_adopted_goes_back_with_the_first_link(desk: HoldingDesk) -> None:
    left = delivery(None, message(task_id="left"), redelivered=True)
    desk.dispatcher.detach()
    desk.shelf.kept[b"k"] = Adopted(b"k", "celery", b"")
    desk.dispatcher.holding.restore([(b"k", left)])
    assert [request.stage for request in desk.dispatcher.table] == [Stage.SETTLING]
    source = desk.attached(confirm=False)
    assert source.given_back == [("adopted", b"k")]
    source = desk.attached()  # lost before it was confirmed
    assert source.given_back == [("adopted", b"k")]
    assert not desk.shelf.kept


def test_a_stop_gives_an_adopted_run_back_when_it_does_not_end(desk: HoldingDesk) -> None:
    adopted(desk)
    desk.dispatcher.kill()
    desk.lost()
    assert [tag[0] for tag in desk.source.given_back] == ["adopted"]
    assert not desk.shelf.kept
