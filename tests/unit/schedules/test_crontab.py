"""``crontab``: every minute of a span against the definition, and the nights on which clocks are put."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from celery.schedules import crontab as celery_crontab  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st

from workerd.errors import ConfigError
from workerd.schedules import BaseSchedule, ParseException, cron, crontab, solar

BERLIN, LORD_HOWE = ZoneInfo("Europe/Berlin"), ZoneInfo("Australia/Lord_Howe")
SPRING, AUTUMN = datetime(2026, 3, 28, 20, tzinfo=UTC), datetime(2026, 10, 24, 20, tzinfo=UTC)


def numbers(lowest: int, highest: int) -> st.SearchStrategy[str]:
    one = st.integers(lowest, highest)
    steps = st.integers(1, 40)
    part = st.one_of(
        st.just("*"),
        one.map(str),
        st.tuples(one, one).map(lambda pair: f"{pair[0]}-{pair[1]}"),
        steps.map(lambda step: f"*/{step}"),
        st.tuples(one, one, steps).map(lambda found: f"{found[0]}-{found[1]}/{found[2]}"),
    )
    return st.lists(part, min_size=1, max_size=3).map(",".join)


def walk(schedule: BaseSchedule, start: datetime, count: int, zone: tzinfo = BERLIN) -> list[str]:
    found, moment = [], start
    for _ in range(count):
        following = schedule.after(moment, zone)
        assert following is not None
        assert following > moment
        moment = following
        found.append(moment.astimezone(zone).strftime("%d %H:%M %z"))
    return found


@given(
    minute=numbers(0, 59),
    hour=numbers(0, 23),
    day_of_week=numbers(0, 6),
    start=st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)),
)
def test_a_crontab_ticks_at_the_minutes_that_fit_and_at_no_others(
    minute: str, hour: str, day_of_week: str, start: datetime
) -> None:
    start = start.replace(second=0, microsecond=0, tzinfo=UTC)
    schedule, theirs = crontab(minute, hour, day_of_week), celery_crontab(minute, hour, day_of_week)
    fits = [
        moment
        for moment in (start + timedelta(minutes=n) for n in range(1, 60 * 24 * 2))
        if moment.minute in theirs.minute
        and moment.hour in theirs.hour
        and moment.isoweekday() % 7 in theirs.day_of_week
    ]
    found: list[datetime] = []
    moment = schedule.after(start, UTC)
    while moment is not None and moment < start + timedelta(days=2) and len(found) < 200:
        found.append(moment)
        moment = schedule.after(moment, UTC)
    assert found == fits[:200]


@given(numbers(1, 31), numbers(1, 12))
def test_days_and_months_mean_what_they_mean_in_celery(day_of_month: str, month: str) -> None:
    theirs = celery_crontab(day_of_month=day_of_month, month_of_year=month)
    try:
        ours = crontab(day_of_month=day_of_month, month_of_year=month)
    except ValueError:
        assert not any(day <= 29 for day in theirs.day_of_month)  # such as 31 February
        return
    assert (ours.day_of_month, ours.month_of_year) == (theirs.day_of_month, theirs.month_of_year)


@pytest.mark.parametrize(
    ("schedule", "ticks"),
    [
        (crontab(30, 2), ["29 03:00 +0200", "30 02:30 +0200"]),
        (cron("30 2 * * *"), ["29 03:00 +0200", "30 02:30 +0200"]),
        (crontab("*/15", 2), ["29 03:00 +0200", "30 02:00 +0200"]),
        (crontab(30), ["28 21:30 +0100", "28 22:30 +0100"]),
    ],
    ids=repr,
)
def test_a_tick_in_the_time_that_is_left_out_runs_once_when_clocks_are_put_forward(
    schedule: BaseSchedule, ticks: list[str]
) -> None:
    assert walk(schedule, SPRING, 2) == ticks


def test_a_crontab_of_every_hour_runs_in_every_real_hour() -> None:
    hours = [f"{moment[3:]}" for moment in walk(crontab(30), SPRING, 8)]
    assert hours[3:] == ["00:30 +0100", "01:30 +0100", "03:30 +0200", "04:30 +0200", "05:30 +0200"]
    hours = [f"{moment[3:]}" for moment in walk(crontab(30), AUTUMN, 8)]
    assert hours[2:6] == ["00:30 +0200", "01:30 +0200", "02:30 +0200", "02:30 +0100"]


@pytest.mark.parametrize("schedule", [crontab(30, 2), cron("30 2 * * *")], ids=repr)
def test_a_tick_in_the_time_that_comes_twice_runs_once(schedule: BaseSchedule) -> None:
    assert walk(schedule, AUTUMN, 2) == ["25 02:30 +0200", "26 02:30 +0100"]


def test_clocks_that_are_put_by_half_an_hour_are_no_exception() -> None:
    spring = datetime(2026, 10, 3, 14, tzinfo=UTC)  # at 02:00 to 02:30
    assert walk(crontab(15, 2), spring, 2, LORD_HOWE) == ["04 02:30 +1100", "05 02:15 +1100"]
    assert walk(crontab("*/15"), spring + timedelta(minutes=85), 2, LORD_HOWE) == [
        "04 02:30 +1100",
        "04 02:45 +1100",
    ]


def test_days_of_the_month_and_of_the_week_must_both_fit_in_a_crontab_and_either_in_a_line() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    both = crontab(0, 0, day_of_week="fri", day_of_month=13)
    assert both.after(start, UTC) == datetime(2026, 2, 13, tzinfo=UTC)
    assert cron("0 0 13 * fri").after(start, UTC) == datetime(2026, 1, 2, tzinfo=UTC)
    leap = crontab(0, 0, day_of_week=0, day_of_month=29, month_of_year="feb")
    assert leap.after(start, UTC) == datetime(2032, 2, 29, tzinfo=UTC)


def test_the_ticks_of_a_long_time_are_bounded_work() -> None:
    now = datetime(2026, 1, 1, 0, 0, 30, tzinfo=UTC)
    found = crontab().ticks(now - timedelta(days=3000), now, BERLIN)
    assert found is not None
    assert found.latest == now.replace(second=0)
    yearly = crontab(0, 0, day_of_month=1, month_of_year=1).ticks(now - timedelta(days=3000), now, UTC)
    assert yearly is not None
    assert (yearly.number, yearly.latest) == (9, now.replace(second=0))


@pytest.mark.parametrize(
    "fields",
    [
        ("60",),
        ("*/0",),
        ("5/2",),
        ("",),
        ("a",),
        ("1,,2",),
        ("*", "24"),
        ("*", "*", "7"),
        ("*", "*", "*", "0"),
    ],
)
def test_what_is_no_field_is_refused(fields: tuple[Any, ...]) -> None:
    with pytest.raises(ParseException):
        crontab(*fields)


def test_what_never_comes_is_refused() -> None:
    with pytest.raises(ValueError, match="never comes"):
        crontab(day_of_month=31, month_of_year=2)
    with pytest.raises(TypeError, match="write a number"):
        crontab(None)
    with pytest.raises(ValueError, match="no line of a crontab"):
        cron("*/5 * * *")
    with pytest.raises(ConfigError, match="solar schedules are not supported"):
        solar("sunset", 52.5, 13.4)


def test_names_lists_and_lines_mean_the_same_as_numbers() -> None:
    assert crontab(0, 7, "mon-fri").day_of_week == {1, 2, 3, 4, 5}
    assert crontab(0, 7, "fri-mon").day_of_week == {5, 6, 0, 1}
    assert crontab([0, 30], {7}) == crontab("0,30", "7") == crontab.from_string("0,30 7 * * *")
    assert pickle.loads(pickle.dumps(crontab("*/5", 3))) == crontab("*/5", 3)
    assert pickle.loads(pickle.dumps(cron("*/5 * * * *"))) == cron("*/5  * * * *")
