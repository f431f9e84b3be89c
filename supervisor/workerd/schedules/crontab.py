"""``crontab``: minutes, hours and days by the wall clock, with the arguments and the meaning of Celery's.

All five fields must fit (crontab(5) takes either of the two fields for days; ``cron`` does as it does).
When clocks are put forward, what falls into the time that is left out runs once, at that moment; when they
are put back, what falls into the time that comes twice runs once, the first time.  A crontab of every hour
runs in every real hour.

Errors:  ParseException, ValueError and TypeError from the constructor.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any

from workerd.schedules import fields
from workerd.schedules.base import BaseSchedule
from workerd.schedules.zones import change_between, moment_of, offset_at

LONGEST = 366 * 41
"""Days until every date has been on every day of the week, also over a century without its leap year."""

_MINUTE = timedelta(minutes=1)


class crontab(BaseSchedule):  # noqa: N801 (the name that authors know)
    """At the minutes that fit all fields; each is a number, several, or a text such as ``*/15`` or ``1-5``.

    ``day_of_week`` counts from Sunday, 0, and knows names (``mon-fri``), as ``month_of_year`` does.
    """

    def __init__(
        self,
        minute: Any = "*",
        hour: Any = "*",
        day_of_week: Any = "*",
        day_of_month: Any = "*",
        month_of_year: Any = "*",
        nowfun: Callable[[], datetime] | None = None,
        app: Any = None,
    ) -> None:
        super().__init__(nowfun, app)
        self._written = (minute, hour, day_of_week, day_of_month, month_of_year)
        self.minute = fields.MINUTE.numbers(minute)
        self.hour = fields.HOUR.numbers(hour)
        self.day_of_week = fields.DAY_OF_WEEK.numbers(day_of_week)
        self.day_of_month = fields.DAY_OF_MONTH.numbers(day_of_month)
        self.month_of_year = fields.MONTH.numbers(month_of_year)
        self._times = [(h, m) for h in sorted(self.hour) for m in sorted(self.minute)]
        if self._day_from(date(2096, 1, 1)) is None:
            raise ValueError(f"{self!r} never comes: no month of it has such a day")

    @classmethod
    def from_string(cls, crontab: str) -> crontab:
        """Of the five fields of a line: minute, hour, day of month, month, day of week."""
        parts = crontab.split()
        if len(parts) != 5:
            raise fields.ParseException(
                f"{crontab!r} has {len(parts)} fields: write five, such as '*/5 * * * *'"
            )
        minute, hour, day_of_month, month_of_year, day_of_week = parts
        return cls(minute, hour, day_of_week, day_of_month, month_of_year)

    def after(self, moment: datetime, zone: tzinfo) -> datetime | None:
        if len(self.hour) == 24:
            return self._after_by_hours(moment, zone)
        shown = moment.astimezone(zone).replace(tzinfo=None, fold=0)
        while (following := self._shown_after(shown)) is not None:
            tick = moment_of(following, zone)
            if tick > moment:
                return tick
            shown = following
        return None

    def _after_by_hours(self, moment: datetime, zone: tzinfo) -> datetime | None:
        """Real time: each stretch between two changes of the clocks has one offset."""
        start = moment
        while True:
            offset = offset_at(zone, start)
            following = self._shown_after((start.astimezone(UTC) + offset).replace(tzinfo=None))
            if following is None:
                return None
            tick = following.replace(tzinfo=UTC) - offset
            change = change_between(zone, start, tick)
            if change is None:
                return tick
            shown = (change + offset_at(zone, change)).astimezone(UTC).replace(tzinfo=None)
            if self._fits(shown):
                return change.astimezone(UTC)
            start = change

    def _fits(self, shown: datetime) -> bool:
        return (shown.second, shown.microsecond) == (0, 0) and self._shown_after(shown - _MINUTE) == shown

    def _shown_after(self, shown: datetime) -> datetime | None:
        """The next time that a wall clock shows and that fits."""
        day = shown.date()
        if self._day_from(day) == day:
            found = next((time for time in self._times if time > (shown.hour, shown.minute)), None)
            if found is not None:
                return datetime(day.year, day.month, day.day, *found)
        following = self._day_from(day + timedelta(days=1))
        if following is None:
            return None
        return datetime(following.year, following.month, following.day, *self._times[0])

    def _day_from(self, day: date) -> date | None:
        """The first day that fits, ``day`` or later."""
        last = day + timedelta(days=LONGEST)
        while day <= last:
            if day.month not in self.month_of_year:
                day = (day.replace(day=1) + timedelta(days=32)).replace(day=1)
            elif day.day in self.day_of_month and day.isoweekday() % 7 in self.day_of_week:
                return day
            else:
                day += timedelta(days=1)
        return None

    def __repr__(self) -> str:
        minute, hour, day_of_week, day_of_month, month_of_year = map(_shown, self._written)
        return f"crontab {minute} {hour} {day_of_month} {month_of_year} {day_of_week}"

    def __eq__(self, other: object) -> bool:
        return self._sets == other._sets if isinstance(other, crontab) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._sets)

    @property
    def _sets(self) -> tuple[frozenset[int], ...]:
        return (self.minute, self.hour, self.day_of_week, self.day_of_month, self.month_of_year)

    def __reduce__(self) -> Any:
        return type(self), (*self._written, self.nowfun)


def _shown(written: Any) -> str:
    if isinstance(written, (str, int)):
        return str(written).replace(" ", "")
    return ",".join(str(one) for one in sorted(written, key=str))
