"""JSON for programs: one object a line.

Each has ``ts`` (RFC 3339, UTC), ``level``, ``event``, ``message``, ``logger``, ``process`` and ``pid``; one
about a task has what ``delivery.facts`` says of it, and where it runs; the app's ``extra`` is there too.
``event`` is a name for what happened, which does not change with the wording.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter

from workerd.worker.log.text import priority

Place = Callable[[str, int], Mapping[str, Any]]


class JsonLines(JsonFormatter):
    """``place(pool, pid)`` says the slot and the generation of a child, for as long as it is there."""

    def __init__(self, *, prefixed: bool = False) -> None:
        super().__init__(
            reserved_attrs=(*RESERVED_ATTRS, "data"),
            rename_fields={"exc_info": "traceback"},
            # What an app gives as extra may have keys that JSON has not.
            json_serializer=partial(json.dumps, skipkeys=True),
            json_ensure_ascii=False,
        )
        self.prefixed = prefixed
        self.place: Place = _nowhere

    def format(self, record: logging.LogRecord) -> str:
        line: str = super().format(record)
        return priority(record.levelno) + line if self.prefixed else line

    def add_fields(
        self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]
    ) -> None:
        """In the order in which a person would read them."""
        log_data |= {
            "ts": moment(record.created),
            "level": record.levelname.lower(),
            "event": "log",
            "message": record.message,
            "logger": record.name,
            "process": record.processName,
            "pid": record.process,
        }
        if record.exc_info and record.exc_info[0] is not None:
            log_data["error"] = f"{record.exc_info[0].__name__}: {record.exc_info[1]}"
        data: Mapping[str, Any] = getattr(record, "data", None) or {}
        log_data |= data
        if "pool" in data and "pid" in data:
            log_data |= self.place(data["pool"], data["pid"])
        super().add_fields(log_data, record, message_dict)

    def dropped(self, count: int) -> str:
        """The line that tells of lines which nobody has taken."""
        told = {
            "ts": moment(datetime.now(UTC).timestamp()),
            "level": "warning",
            "event": "log.dropped",
            "message": f"{count} log lines were dropped while the log took none",
            "pid": os.getpid(),
            "count": count,
        }
        return (priority(logging.WARNING) if self.prefixed else "") + json.dumps(told)


def moment(created: float) -> str:
    """``2025-05-24T09:12:44.871Z``."""
    return datetime.fromtimestamp(created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _nowhere(pool: str, pid: int) -> Mapping[str, Any]:
    return {}
