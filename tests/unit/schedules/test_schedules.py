"""Intervals, what plain values mean, and entries."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from workerd.schedules import cron, crontab, entries_of, entry_of, maybe_schedule, schedule

NOW = datetime(2026, 5, 5, 10, 20, 30, tzinfo=UTC)


def test_intervals_are_counted_from_tick_to_tick() -> None:
    every = schedule(timedelta(minutes=10))
    assert every.after(NOW, UTC) == NOW + timedelta(minutes=10)
    found = every.ticks(NOW, NOW + timedelta(minutes=35), UTC)
    assert found is not None
    assert (found.first, found.latest, found.number) == (
        NOW + timedelta(minutes=10),
        NOW + timedelta(minutes=30),
        3,
    )
    assert every.ticks(NOW, NOW + timedelta(minutes=9), UTC) is None


def test_relative_intervals_are_on_whole_units() -> None:
    hours = schedule(3600, relative=True)
    assert hours.after(NOW, UTC) == datetime(2026, 5, 5, 11, tzinfo=UTC)
    found = hours.ticks(NOW, NOW + timedelta(days=300), UTC)
    assert found is not None
    assert found.latest == NOW.replace(minute=0, second=0) + timedelta(days=300)


def test_plain_values_are_schedules() -> None:
    assert maybe_schedule(30) == maybe_schedule(timedelta(seconds=30)) == schedule(30)
    assert repr(maybe_schedule(7200)) == "every 2 hours"
    assert maybe_schedule("*/5 * * * *") == cron("*/5 * * * *")
    assert maybe_schedule(crontab(5)) == crontab("5")
    wrongs: list[Any] = [None, True, [], 0, -1, float("nan"), "hourly"]
    for wrong in wrongs:
        with pytest.raises((ValueError, TypeError)):
            maybe_schedule(wrong)


def test_a_schedule_tells_whether_it_is_due() -> None:
    every = schedule(60, nowfun=lambda: NOW)
    assert every.is_due(NOW - timedelta(seconds=70)) == (True, 60.0)
    assert every.is_due(NOW - timedelta(seconds=20)) == (False, 40.0)
    assert crontab(nowfun=lambda: NOW).remaining_estimate(NOW) == timedelta(seconds=30)


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("proj.add", "must be a mapping"),
        ({"schedule": 3}, "names no task"),
        ({"task": "a"}, "a schedule cannot be None"),
        ({"task": "a", "schedul": 3}, "did you mean schedule"),
        ({"task": "a", "schedule": 3, "args": "x"}, "must be a list"),
        ({"task": "a", "schedule": 3, "kwargs": [1]}, "must be a mapping"),
        ({"task": "a", "schedule": 3, "missed": "all"}, "write run-once or skip"),
    ],
)
def test_what_is_no_entry_is_refused_in_words(written: Any, told: str) -> None:
    with pytest.raises((ValueError, TypeError), match=told):
        entry_of("nightly", written)


def test_an_entry_is_what_celery_takes() -> None:
    rows = {"a": {"task": "t", "schedule": 3, "args": [1], "kwargs": {"k": 2}, "options": {"queue": "q"}}}
    entry = entries_of(rows)["a"]
    assert (entry.task, entry.args, entry.kwargs, entry.options) == ("t", (1,), {"k": 2}, {"queue": "q"})
    assert entry.missed is None
