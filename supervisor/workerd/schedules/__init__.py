"""When periodic tasks run: what an app author writes into ``beat_schedule``.

``schedule`` for intervals, ``crontab`` with Celery's arguments, ``cron`` for a line as crontab(5) has it.
All are plain values that can be compared, copied and pickled; the clock is read by the beat alone.
"""

from __future__ import annotations

from workerd.schedules.base import BaseSchedule, SchedState, maybe_schedule
from workerd.schedules.crontab import crontab
from workerd.schedules.entry import Entry, Missed, entries_of, entry_of
from workerd.schedules.fields import ParseException
from workerd.schedules.interval import schedule
from workerd.schedules.line import cron
from workerd.schedules.solar import solar

__all__ = [
    "BaseSchedule",
    "Entry",
    "Missed",
    "ParseException",
    "SchedState",
    "cron",
    "crontab",
    "entries_of",
    "entry_of",
    "maybe_schedule",
    "schedule",
    "solar",
]
