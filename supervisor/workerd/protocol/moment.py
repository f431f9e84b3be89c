"""Times as messages write them: ISO 8601 text, with or without an offset.

Units:   seconds since the Unix epoch; countdowns are seconds from now.
Errors:  ValueError for a text that is no time.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo

Moment = float | int | datetime | str


def zone_of(name: str) -> tzinfo:
    """The time zone ``name``, such as ``Europe/Oslo``.  Raises ValueError, or KeyError for an unknown one."""
    # It reads how Python was built when it is imported: 4 ms that most apps do without.
    from zoneinfo import ZoneInfo  # noqa: PLC0415

    return ZoneInfo(name)


def parse_moment(text: str | None, zone: tzinfo = UTC) -> float | None:
    """Seconds since the epoch of an ISO 8601 text; without an offset it is in ``zone``, none is None."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).timestamp()
    except (ValueError, OverflowError) as exc:
        raise ValueError(f"{text[:64]!r} is no ISO 8601 time") from exc


def from_now(seconds: float, now: float, zone: tzinfo = UTC) -> datetime:
    """The time ``seconds`` after ``now`` (Unix time) in ``zone``."""
    return datetime.fromtimestamp(now, zone) + timedelta(seconds=seconds)


def written(moment: Moment | None, now: float, zone: tzinfo = UTC) -> str | None:
    """``moment`` as a header holds it: numbers count from ``now``, texts and times stand as they are."""
    if moment is None:
        return None
    if isinstance(moment, datetime):
        return moment.isoformat()
    if isinstance(moment, str):
        parse_moment(moment)
        return moment
    return from_now(moment, now, zone).isoformat()
