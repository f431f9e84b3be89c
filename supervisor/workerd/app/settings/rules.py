"""Checks of values that app authors write, for settings and for options of tasks and calls.

Each returns the value to keep, or raises ValueError (TypeError for what cannot be iterated) whose text
says what to write.

Units:   seconds, also where a timedelta is given.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, cast

from kombu.entity import Exchange, Queue

from workerd.protocol.moment import zone_of
from workerd.protocol.rate import parse_rate

Check = Callable[[Any], Any]


def flag(value: Any) -> bool:
    """True or False."""
    if not isinstance(value, bool):
        raise ValueError("write True or False")
    return value


def text(value: Any) -> str:
    """A text."""
    if not isinstance(value, str) or not value:
        raise ValueError("write a text")
    return value


def number(value: Any) -> float | int:
    """A number that is not negative."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
        raise ValueError("write a number of 0 or more")
    return value


def limit(value: Any) -> float | int:
    """Seconds that a run may take."""
    if number(value) == 0:
        raise ValueError("write a number of seconds above 0, or None for no limit")
    return cast("float | int", value)


def count(value: Any) -> int:
    """A whole number that is not negative."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError("write a whole number of 0 or more")
    return value


def seconds(value: Any) -> float | int:
    """Seconds, from a number or a timedelta."""
    return number(value.total_seconds() if isinstance(value, timedelta) else value)


def delay(value: Any) -> float | int | datetime:
    """Seconds from now, a timedelta or a time."""
    if isinstance(value, datetime):
        return value
    try:
        return seconds(value)
    except ValueError:
        raise ValueError("write seconds, a timedelta or a datetime") from None


def priority(value: Any) -> int:
    """A priority as AMQP carries it."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 255:
        raise ValueError("write a whole number from 0 to 255")
    return value


def short_name(value: Any) -> str:
    """A name that AMQP and Redis can carry."""
    if len(text(value).encode("utf-8", "replace")) > 255:
        raise ValueError("write a text of 255 bytes at most")
    return str(value)


def place(kind: type[Queue | Exchange]) -> Check:
    """A check for a queue or an exchange: its name, or kombu's object."""

    def check(value: Any) -> Any:
        return value if isinstance(value, kind) else short_name(value)

    return check


def rate(value: Any) -> str | float | int:
    """Starts for each second, or a text such as 10/m; 0 is no limit."""
    if value is None:
        raise ValueError("write a number for each second, or a text such as '10/m'")
    parse_rate(value)
    return cast("str | float | int", value)


def classes(value: Any) -> tuple[type[BaseException], ...]:
    """Exception classes, one or several."""
    several = tuple(value) if isinstance(value, Iterable) else (value,)
    if not all(isinstance(cls, type) and issubclass(cls, BaseException) for cls in several):
        raise ValueError("write exception classes")
    return several


def either(*checks: Check) -> Check:
    """A check that one of ``checks`` must pass; the last one says what is wrong."""

    def check(value: Any) -> Any:
        for one in checks[:-1]:
            with suppress(ValueError, TypeError):
                return one(value)
        return checks[-1](value)

    return check


def mapping(value: Any) -> dict[str, Any]:
    """A mapping; the copy keeps later changes of the original out."""
    if not isinstance(value, Mapping):
        raise ValueError("write a mapping")
    return dict(value)


def lease(value: Any) -> float | int:
    """Seconds for which something is ours; in less than one no renewal is sure to arrive."""
    if seconds(value) < 1:
        raise ValueError("write a number of seconds, 1 or more")
    return seconds(value)


def beat_schedule(value: Any) -> dict[str, Any]:
    """Periodic tasks by their names."""
    written = mapping(value)
    if written:
        # cronsim and zones, for the apps that have periodic tasks.
        from workerd.schedules import entries_of  # noqa: PLC0415

        entries_of(written)
    return written


def names(value: Any) -> tuple[str, ...]:
    """Several texts, or one."""
    several = (value,) if isinstance(value, str) else tuple(value)
    return tuple(text(item) for item in several)


def urls(value: Any) -> tuple[str, ...]:
    """Broker URLs to be tried in order; one text may hold several with ';'."""
    several = value.split(";") if isinstance(value, str) else list(value)
    found = tuple(text(url).strip() for url in several if str(url).strip())
    if not found:
        raise ValueError("names no broker")
    return found


def one_of(*allowed: Any) -> Check:
    """A check for a closed set of values."""

    def check(value: Any) -> Any:
        if value not in allowed:
            raise ValueError(f"write one of {', '.join(map(repr, allowed))}")
        return value

    return check


def optional(check: Check) -> Check:
    """The same check, with None allowed."""
    return lambda value: None if value is None else check(value)


def zone(value: Any) -> str:
    """The name of a time zone."""
    try:
        zone_of(text(value))
    except (KeyError, ValueError) as exc:
        raise ValueError("write the name of a time zone, such as Europe/Oslo") from exc
    return str(value)


def log_level(value: Any) -> str:
    """The name of a level of ``logging``, or its number; in capitals."""
    name = logging.getLevelName(value) if isinstance(value, int) else text(value).upper()
    if name not in logging.getLevelNamesMapping():
        raise ValueError("write DEBUG, INFO, WARNING, ERROR or CRITICAL")
    return str(name)


def log_format(value: Any) -> str:
    """A format of ``logging``, with ``%(message)s`` and the like."""
    logging.Formatter(text(value))
    return str(value)


def tls(value: Any) -> bool | dict[str, Any] | None:
    """True, False or ssl options."""
    return value if value is None or isinstance(value, bool) else mapping(value)


def concurrency(value: Any) -> int | None:
    """Children: a number, or ``auto`` for one for each CPU."""
    return None if value in (None, "auto") else count(value)
