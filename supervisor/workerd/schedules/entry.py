"""One entry of ``beat_schedule``: which task, when, and with what.

Errors:  ValueError and TypeError, whose text says what to write.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast, get_args

from workerd.errors import close_matches
from workerd.schedules.base import BaseSchedule, maybe_schedule

Missed = Literal["run-once", "skip"]
"""What becomes of ticks that nobody was there for: one run for all of them, or none."""

KEYS = ("task", "schedule", "args", "kwargs", "options", "relative", "missed")


@dataclass(frozen=True)
class Entry:
    """A periodic task."""

    name: str
    task: str
    schedule: BaseSchedule
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options of the call, as ``apply_async`` takes them."""
    missed: Missed | None = None
    """None as the setting ``beat_missed`` says."""


def entry_of(name: str, written: Any) -> Entry:
    """The entry that ``written``, a mapping with ``KEYS``, means."""
    if not isinstance(written, Mapping):
        raise TypeError(f"entry {name!r} must be a mapping with task and schedule")
    for key in written:
        if key not in KEYS:
            near = close_matches(str(key), KEYS, n=1) or [" or ".join(KEYS)]
            raise ValueError(f"entry {name!r} has no {key!r}: did you mean {near[0]}?")
    task = written.get("task")
    task = task if isinstance(task, str) else getattr(task, "name", None)
    if not task or not isinstance(task, str):
        raise ValueError(f"entry {name!r} names no task")
    try:
        schedule = maybe_schedule(written.get("schedule"), bool(written.get("relative")))
    except (ValueError, TypeError) as exc:
        raise ValueError(f"entry {name!r}: {exc}") from exc
    return Entry(
        str(name),
        task,
        schedule,
        _args(name, written.get("args")),
        _mapping(name, "kwargs", written.get("kwargs")),
        _mapping(name, "options", written.get("options")),
        checked_missed(written.get("missed")),
    )


def entries_of(written: Mapping[str, Any]) -> dict[str, Entry]:
    """Every entry by its name."""
    return {str(name): entry_of(name, entry) for name, entry in written.items()}


def checked_missed(value: Any) -> Missed | None:
    """``value`` if it is a policy, or none."""
    if value is not None and value not in get_args(Missed):
        raise ValueError(f"missed cannot be {value!r}: write {' or '.join(get_args(Missed))}")
    return cast("Missed | None", value)


def _args(name: str, value: Any) -> tuple[Any, ...]:
    if value is not None and (isinstance(value, (str, bytes)) or not isinstance(value, Sequence)):
        raise TypeError(f"args of entry {name!r} must be a list or a tuple, not {value!r}")
    return tuple(value or ())


def _mapping(name: str, what: str, value: Any) -> dict[str, Any]:
    if value is not None and not isinstance(value, Mapping):
        raise TypeError(f"{what} of entry {name!r} must be a mapping, not {value!r}")
    return dict(value or {})
