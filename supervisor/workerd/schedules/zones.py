"""Clocks that are put forward and back: from what a wall clock shows to the moments at which it does.

Units:   datetimes; "naive" ones are what a wall clock shows, all others are moments.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_DAY, _SECOND = timedelta(days=1), timedelta(seconds=1)


def local_zone() -> tzinfo:
    """This machine's zone with its rules, as far as they can be read, else its offset of today."""
    try:
        if name := os.environ.get("TZ", "").lstrip(":"):
            return ZoneInfo(name)
        with Path("/etc/localtime").open("rb") as file:
            return ZoneInfo.from_file(file, "localtime")
    except (OSError, ValueError, ZoneInfoNotFoundError):
        return datetime.now().astimezone().tzinfo or UTC


def offset_at(zone: tzinfo, moment: datetime) -> timedelta:
    """What the clocks of ``zone`` are ahead of UTC at ``moment``."""
    return moment.astimezone(zone).utcoffset() or timedelta(0)


def change_between(zone: tzinfo, start: datetime, end: datetime) -> datetime | None:
    """The first moment after ``start`` and until ``end`` at which the clocks were put, if they were."""
    before, low = offset_at(zone, start), start
    while low < end:
        high = min(low + _DAY, end)
        if offset_at(zone, high) != before:
            return _first_other(zone, before, low, high)
        low = high
    return None


def _first_other(zone: tzinfo, before: timedelta, low: datetime, high: datetime) -> datetime:
    """Between ``low``, which has the offset ``before``, and ``high``, which has not; on a whole second."""
    low, high = low.replace(microsecond=0), _whole(high)
    while high - low > _SECOND:
        middle = low + (high - low) // 2
        middle = middle.replace(microsecond=0)
        if middle <= low:
            break
        if offset_at(zone, middle) == before:
            low = middle
        else:
            high = middle
    return high


def _whole(moment: datetime) -> datetime:
    return moment.replace(microsecond=0) + (_SECOND if moment.microsecond else timedelta(0))


def moment_of(shown: datetime, zone: tzinfo) -> datetime:
    """The first moment at which a clock of ``zone`` shows ``shown``; of a time that is left out when the
    clocks are put forward, the moment at which they are."""
    first = shown.replace(tzinfo=zone, fold=0)
    moment = first.astimezone(UTC)
    if moment.astimezone(zone).replace(tzinfo=None) == shown:
        return moment
    earlier = shown.replace(tzinfo=zone, fold=1).astimezone(UTC)
    return change_between(zone, earlier - _SECOND, moment) or moment
