"""The options of one call, as ``apply_async`` and ``send_task`` take them.

Units:   seconds for countdown, limits and a number in ``expires``.
Errors:  TypeError for an option that does not exist and for arguments that are none, ValueError for an
         option that cannot have its value.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any

import msgspec
from kombu.entity import Exchange, Queue

from workerd.app import rules
from workerd.protocol.moment import parse_moment


class CallOptions(msgspec.Struct, kw_only=True):
    """Everything that can be said about one call beside its arguments."""

    task_id: str | None = None
    countdown: float | None = None
    eta: datetime | str | None = None
    expires: float | datetime | str | None = None
    queue: str | Queue | None = None
    exchange: str | Exchange | None = None
    routing_key: str | None = None
    priority: int | None = None
    serializer: str | None = None
    compression: str | None = None
    delivery_mode: int | str | None = None
    headers: Mapping[str, Any] | None = None
    time_limit: float | None = None
    soft_time_limit: float | None = None
    ignore_result: bool | None = None
    retry: bool | None = None
    retry_policy: Mapping[str, Any] | None = None
    retries: int = 0
    link: Any = None
    link_error: Any = None
    chain: list[Any] | None = None
    chord: Any = None
    shadow: str | None = None
    reply_to: str | None = None
    correlation_id: str | None = None
    group_id: str | None = None
    group_index: int | None = None
    root_id: str | None = None
    parent_id: str | None = None
    replaced_task_nesting: int = 0
    stamped_headers: list[str] | None = None
    stamps: Mapping[str, Any] | None = None
    add_to_parent: bool = True
    producer: Any = None
    connection: Any = None

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> CallOptions:
        """Options by name; an unknown name is an error that tells the nearest known one."""
        for name in options:
            if name not in cls.__struct_fields__:
                near = get_close_matches(name, cls.__struct_fields__, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise TypeError(f"a task call has no option {name!r}{hint}")
        return cls(**{name: _checked(name, value) for name, value in options.items()})

    def signatures(self, name: str) -> list[dict[str, Any]] | None:
        """``link`` or ``link_error`` as a list of plain mappings, None when there is none."""
        value = getattr(self, name)
        if value is None or value == []:
            return None
        several = value if isinstance(value, (list, tuple)) else [value]
        return [_signature(item, name) for item in several]


def _seconds(value: Any) -> Any:
    """Seconds from now, which may have passed already."""
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError("write seconds or a timedelta")
    return value


def _time(value: Any) -> Any:
    if not isinstance(value, (datetime, str)):
        raise ValueError("write a datetime, or a text of ISO 8601")
    parse_moment(value if isinstance(value, str) else None)
    return value


def _exchange(value: Any) -> Any:
    # The empty name is the anonymous exchange.
    return value if value == "" else rules.place(Exchange)(value)


_RULES: Mapping[str, rules.Check] = MappingProxyType(
    {
        "task_id": rules.short_name,
        "countdown": _seconds,
        "eta": _time,
        "expires": rules.either(_seconds, _time),
        "queue": rules.place(Queue),
        "exchange": _exchange,
        "routing_key": rules.short_name,
        "priority": rules.priority,
        "serializer": rules.text,
        "compression": rules.text,
        "headers": rules.mapping,
        "time_limit": rules.number,
        "soft_time_limit": rules.number,
        "ignore_result": rules.flag,
        "retry": rules.flag,
        "retry_policy": rules.mapping,
        "retries": rules.count,
        "correlation_id": rules.short_name,
        "reply_to": rules.short_name,
    }
)


def _checked(name: str, value: Any) -> Any:
    if value is None or name not in _RULES:
        return value
    try:
        return _RULES[name](value)
    except (ValueError, TypeError) as exc:
        raise ValueError(f"option {name!r} of a task call cannot be {value!r}: {exc}") from exc


def call_arguments(args: Any, kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of a call in plain form; None is none."""
    if args is not None and (isinstance(args, (str, bytes)) or not isinstance(args, Sequence)):
        raise TypeError(f"args must be a list or a tuple, not {args!r}")
    if kwargs is not None and not isinstance(kwargs, Mapping):
        raise TypeError(f"kwargs must be a mapping, not {kwargs!r}")
    return tuple(args or ()), dict(kwargs or {})


def _signature(item: Any, option: str) -> dict[str, Any]:
    if isinstance(item, Mapping) and isinstance(item.get("task"), str):
        return dict(item)
    raise TypeError(f"{option} takes signatures, such as task.s(1), not {item!r}")
