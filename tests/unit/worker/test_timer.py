"""The hub's scheduler."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.support.clock import FakeClock
from workerd.worker.loop.timer import COMPACT_AT, Timer


@pytest.fixture
def timer(clock: FakeClock) -> Timer:
    return Timer(now=clock.now)


def fire(timer: Timer) -> None:
    for entry in timer.due():
        if not entry.canceled:
            entry()


def test_entries_fire_by_time_then_priority_then_the_order_of_making(timer: Timer, clock: FakeClock) -> None:
    fired: list[str] = []
    timer.call_after(2, fired.append, ("later",))
    timer.call_after(1, fired.append, ("low",), priority=9)
    for name in ("first", "second", "third"):
        timer.call_after(1, fired.append, (name,))

    clock.advance(2)
    fire(timer)

    assert fired == ["first", "second", "third", "low", "later"]


def test_arguments_and_keywords_reach_the_call(timer: Timer) -> None:
    seen: list[object] = []
    timer.call_after(0, lambda *args, **kwargs: seen.append((args, kwargs)), (1, 2), {"x": 3}, priority=10)

    fire(timer)

    assert seen == [((1, 2), {"x": 3})]


def test_wait_is_the_time_to_the_next_entry_and_none_without_one(timer: Timer, clock: FakeClock) -> None:
    assert timer.wait() is None
    timer.call_after(5, print)
    assert timer.wait() == 5
    clock.advance(7)
    assert timer.wait() == 0


def test_a_cancelled_entry_neither_fires_nor_wakes(timer: Timer, clock: FakeClock) -> None:
    entry = timer.call_after(1, pytest.fail)
    timer.cancel(entry)

    assert entry.cancelled
    assert timer.wait() is None
    clock.advance(2)
    fire(timer)


def test_call_at_takes_the_monotonic_clock_and_datetimes(timer: Timer, clock: FakeClock) -> None:
    timer.call_at(clock.now() + 3, print)
    assert timer.wait() == 3
    timer.clear()
    timer.call_at(datetime.now(UTC) + timedelta(seconds=30), print)
    assert timer.wait() == pytest.approx(30, abs=5)
    timer.clear()
    naive = datetime.now(UTC).replace(tzinfo=None)
    timer.call_at(naive + timedelta(seconds=60), print)
    assert timer.wait() == pytest.approx(60, abs=5)


def test_call_repeatedly_goes_on_until_it_is_cancelled(timer: Timer, clock: FakeClock) -> None:
    fired: list[float] = []
    entry = timer.call_repeatedly(10, lambda: fired.append(clock.now()))

    for _ in range(3):
        clock.advance(10)
        fire(timer)
    entry.cancel()
    clock.advance(10)
    fire(timer)

    assert fired == [1010, 1020, 1030]


def test_call_repeatedly_goes_on_after_an_error(timer: Timer, clock: FakeClock) -> None:
    timer.call_repeatedly(10, int, ("no number",))
    clock.advance(10)

    with pytest.raises(ValueError, match="no number"):
        fire(timer)

    assert timer.wait() == 10


def test_a_late_repetition_does_not_bunch_up(timer: Timer, clock: FakeClock) -> None:
    fired: list[float] = []
    timer.call_repeatedly(10, lambda: fired.append(clock.now()))

    clock.advance(95)
    fire(timer)
    fire(timer)

    assert fired == [1095]
    assert timer.wait() == 10


def test_a_repetition_that_cancels_itself_ends(timer: Timer, clock: FakeClock) -> None:
    entry = timer.call_repeatedly(1, lambda: entry.cancel())  # noqa: PLW0108 (entry is bound later)
    clock.advance(1)

    fire(timer)

    assert timer.wait() is None


def test_cancelled_entries_do_not_pile_up(timer: Timer) -> None:
    for _ in range(20 * COMPACT_AT):
        timer.call_after(3600, print).cancel()
    timer.call_after(3600, print)

    assert len(timer) <= COMPACT_AT + 1


def test_entries_can_be_made_first_and_entered_later(timer: Timer, clock: FakeClock) -> None:
    fired: list[str] = []
    timer.enter_at(timer.Entry(fired.append, ("now",)))
    timer.enter_after(1, timer.Entry(fired.append, ("later",)))

    assert [entry.args for _, _, entry in timer.queue] == [("now",), ("later",)]
    fire(timer)
    assert fired == ["now"]
