"""What every schedule can say, and how plain values become schedules.

Units:   seconds; datetimes are aware.
Errors:  TypeError and ValueError, whose text says what to write.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, NamedTuple

MOST_COUNTED = 100
"""Missed ticks are counted up to here; more are as many for whoever reads the log."""

WINDOWS = (timedelta(hours=1), timedelta(days=1), timedelta(days=40), timedelta(days=3000))
"""How far back the latest tick is looked for: each holds few ticks where the one before held none."""


class SchedState(NamedTuple):
    """What ``is_due`` answers."""

    is_due: bool
    next: float
    """Seconds until the next look is worth while."""


class Ticks(NamedTuple):
    """The ticks of one span of time."""

    first: datetime
    latest: datetime
    number: int
    """``MOST_COUNTED`` may stand for more."""


class BaseSchedule:
    """When something is to happen again and again.

    A schedule of one's own overrides ``after``, and ``__repr__``: a schedule that reads differently is
    another one, and begins anew.
    """

    def __init__(self, nowfun: Callable[[], datetime] | None = None, app: Any = None) -> None:
        self.nowfun, self.app = nowfun, app

    def after(self, moment: datetime, zone: tzinfo) -> datetime | None:
        """The first tick later than ``moment``, by the clocks of ``zone``; None when there is none."""
        raise NotImplementedError

    def ticks(self, last: datetime, now: datetime, zone: tzinfo) -> Ticks | None:
        """The ticks later than ``last`` and not later than ``now``; None where there is none."""
        first = self.after(last, zone)
        if first is None or first > now:
            return None
        latest, count = first, 1
        while count < MOST_COUNTED:
            following = self.after(latest, zone)
            if following is None or following > now:
                return Ticks(first, latest, count)
            latest, count = following, count + 1
        return Ticks(first, self._latest(latest, now, zone), count)

    def _latest(self, known: datetime, now: datetime, zone: tzinfo) -> datetime:
        for window in WINDOWS:
            tick = self.after(max(known, now - window), zone)
            if tick is not None and tick <= now:
                break
        while tick is not None and tick <= now:
            known, tick = tick, self.after(tick, zone)
        return known

    def now(self) -> datetime:
        """The time, as ``nowfun`` gives it where there is one."""
        return self.nowfun() if self.nowfun is not None else datetime.now(UTC)

    def remaining_estimate(self, last_run_at: datetime) -> timedelta:
        """Time until the tick that follows ``last_run_at``; negative when it has passed."""
        due = self.after(_aware(last_run_at), self._zone())
        return timedelta.max if due is None else due - _aware(self.now())

    def is_due(self, last_run_at: datetime) -> SchedState:
        """Whether a tick has come since ``last_run_at``, and the seconds until the next one."""
        remaining = self.remaining_estimate(last_run_at).total_seconds()
        if remaining > 0:
            return SchedState(is_due=False, next=remaining)
        now = _aware(self.now())
        following = self.after(now, self._zone())
        return SchedState(True, (following - now).total_seconds() if following is not None else remaining)

    def _zone(self) -> tzinfo:
        return UTC if self.app is None else self.app.beat_zone()

    def __eq__(self, other: object) -> bool:
        return repr(self) == repr(other) if isinstance(other, BaseSchedule) else NotImplemented

    def __hash__(self) -> int:
        return hash(repr(self))


def maybe_schedule(value: Any, relative: bool = False) -> BaseSchedule:
    """The schedule that ``value`` means: seconds, a timedelta, a line of crontab(5), or a schedule."""
    # Below them, for these are made of what stands here.
    from workerd.schedules.interval import schedule  # noqa: PLC0415
    from workerd.schedules.line import cron  # noqa: PLC0415

    if isinstance(value, BaseSchedule):
        return value
    if isinstance(value, timedelta) or (isinstance(value, (int, float)) and not isinstance(value, bool)):
        return schedule(value, relative)
    if isinstance(value, str):
        return cron(value)
    raise TypeError(
        f"a schedule cannot be {value!r}: write seconds, a timedelta, crontab(...) of workerd.schedules,"
        " or a text such as '*/5 * * * *'"
    )


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
