"""Periodic tasks in the settings file: ``[beat.schedule.NAME]``.

    task      its name
    cron      a line of crontab(5), such as "*/5 * * * *"
    every     or an interval, such as "10m"
    args, kwargs, queue, priority, expires, missed    as far as they are wanted

Errors:  ValueError and TypeError with what to write; ``config.load`` turns them into ConfigError.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from workerd.config.parsers import parse_positive_duration
from workerd.errors import close_matches

if TYPE_CHECKING:
    from workerd.schedules import Entry

SCHEDULE = "beat.schedule"

OPTIONS = ("queue", "priority", "expires")
KEYS = ("task", "cron", "every", "args", "kwargs", "missed", *OPTIONS)


def parse_schedule(value: Any) -> dict[str, Any]:
    """The rows as they are written, each of which is an entry; from the environment they are JSON."""
    rows = json.loads(value) if isinstance(value, str) else value
    if not isinstance(rows, Mapping) or not all(isinstance(row, Mapping) for row in rows.values()):
        raise ValueError(f"write a table for each of them, [{SCHEDULE}.NAME]")
    if rows:
        entries_of_rows(rows)
    return {str(name): dict(row) for name, row in rows.items()}


def entries_of_rows(rows: Mapping[str, Mapping[str, Any]]) -> dict[str, Entry]:
    """Every entry by its name."""
    # cronsim and zones, for the daemons that have periodic tasks in their file.
    from workerd.schedules import entry_of  # noqa: PLC0415

    return {name: entry_of(name, _written(name, row)) for name, row in rows.items()}


def _written(name: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """``row`` as ``beat_schedule`` of an app has it."""
    for key in row:
        if key not in KEYS:
            near = close_matches(key, KEYS, n=1) or [" or ".join(KEYS)]
            raise ValueError(f"entry {name!r} has no {key!r}: did you mean {near[0]}?")
    if ("cron" in row) == ("every" in row):
        raise ValueError(f"entry {name!r} needs either cron or every")
    try:
        schedule = str(row["cron"]) if "cron" in row else parse_positive_duration(row["every"])
    except ValueError as exc:
        raise ValueError(f"entry {name!r}: every: {exc}") from exc
    return {
        **{key: row[key] for key in ("task", "args", "kwargs", "missed") if key in row},
        "schedule": schedule,
        "options": {key: row[key] for key in OPTIONS if key in row},
    }
