"""Which ticks are due, and what is to be done about those that nobody was there for.  Pure.

Units:   Unix time, seconds.
"""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from typing import NamedTuple

from workerd.beat.record import Record
from workerd.beat.settings import BeatSettings
from workerd.schedules import Entry, crontab
from workerd.schedules.base import MOST_COUNTED

PUT_BACK = 3 * 3600.0
"""A last tick that lies further ahead was never: the clock was wrong then.  Up to that nothing runs twice."""


class Due(NamedTuple):
    """The tick to deal with."""

    tick: float
    missed: int
    """Ticks that nobody was there for, this one among them when it is not sent."""
    send: bool


def begun(entry: Entry, record: Record | None, now: float) -> Record:
    """``record`` if it still means this entry; else one from which its ticks count from now on."""
    text = repr(entry.schedule)
    if record is None:
        return Record(text, now)
    if record.schedule != text or record.last > now + PUT_BACK:
        return Record(text, now, record.total, record.sent)
    return record


def due(entry: Entry, record: Record, now: float, zone: tzinfo, settings: BeatSettings) -> Due | None:
    """The latest tick that has come since the last one; None when none has."""
    try:
        ticks = entry.schedule.ticks(_moment(record.last), _moment(now), zone)
    except OverflowError:
        return None
    if ticks is None:
        return None
    tick, late = ticks.latest.timestamp(), now - ticks.latest.timestamp()
    skips = (entry.missed or settings.missed) == "skip" and late > settings.patience
    if settings.starting_deadline is not None and isinstance(entry.schedule, crontab):
        skips = skips or late > max(settings.starting_deadline, settings.patience)
    return Due(tick, ticks.number - (not skips), not skips)


def next_tick(entry: Entry, record: Record, zone: tzinfo) -> float | None:
    """When it is due next."""
    try:
        tick = entry.schedule.after(_moment(record.last), zone)
    except OverflowError:
        return None
    return tick.timestamp() if tick is not None else None


def is_told(found: Due, now: float, settings: BeatSettings) -> bool:
    """Whether the log tells of it: a tick or more were missed."""
    return found.missed > 0 or now - found.tick > settings.patience


def told(entry: Entry, found: Due, now: float) -> str:
    """What the log tells of missed ticks."""
    count = f"{found.missed}{' or more' * (found.missed >= MOST_COUNTED - 1)}"
    when = f"the last was due {now - found.tick:.0f} s ago"
    if not found.send:
        return f"{entry.name}: {count} missed, {when}: skipped"
    if not found.missed:
        return f"{entry.name}: missed, due {now - found.tick:.0f} s ago: runs now"
    return f"{entry.name}: {count} missed, {when}: runs once"


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
