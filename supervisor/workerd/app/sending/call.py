"""The options of one call, as ``apply_async`` and ``send_task`` take them.

Units:   seconds for countdown, limits and a number in ``expires``.
Errors:  TypeError for an option that does not exist and for arguments that are none, ValueError for an
         option that cannot have its value.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

import msgspec
from kombu.entity import Exchange, Queue

from workerd.app.settings import rules
from workerd.errors import close_matches
from workerd.protocol.moment import parse_moment


class CallOptions(msgspec.Struct, kw_only=True):
    """Everything that can be said about one call beside its arguments."""

    task_id: str | None = None
    """Its id; a new one by default."""
    countdown: float | None = None
    """Run it so many seconds from now."""
    eta: datetime | str | None = None
    """Run it at this time, not before."""
    expires: float | datetime | str | None = None
    """Drop it if it has not begun then: so many seconds from now, or a time."""
    queue: str | Queue | None = None
    """Where it goes, instead of the route that the settings say."""
    exchange: str | Exchange | None = None
    """The same, by exchange and ``routing_key``."""
    routing_key: str | None = None
    priority: int | None = None
    """From 0 to 255, where the broker knows priorities."""
    serializer: str | None = None
    """How its arguments are written: ``json`` and so on."""
    compression: str | None = None
    """How its body is packed: ``gzip`` and so on."""
    delivery_mode: int | str | None = None
    """``persistent`` or ``transient``."""
    headers: Mapping[str, Any] | None = None
    """Further headers of its message."""
    time_limit: float | None = None
    """Seconds after which its child is killed."""
    soft_time_limit: float | None = None
    """Seconds after which SoftTimeLimitExceeded is raised in it."""
    ignore_result: bool | None = None
    """Store no result of it."""
    retry: bool | None = None
    """Try to send it again while the broker is away, as ``retry_policy`` says."""
    retry_policy: Mapping[str, Any] | None = None
    """What shall differ from the setting ``task_publish_retry_policy``."""
    retries: int = 0
    link: Any = None
    """Signatures to send with its result, once it has one."""
    link_error: Any = None
    """Signatures to send when it fails."""
    chain: list[Any] | None = None
    chord: Any = None
    shadow: str | None = None
    """The name for logs and events, instead of the task's."""
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
    """It is a child of the call that sends it, if there is one."""
    producer: Any = None
    """Send it with this producer of kombu, not with a pooled connection."""
    connection: Any = None
    """Send it over this connection of kombu."""

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> CallOptions:
        """Options by name; an unknown name is an error that tells the nearest known one."""
        for name in options:
            if name not in cls.__struct_fields__:
                near = close_matches(name, cls.__struct_fields__, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise TypeError(f"a task call has no option {name!r}{hint}")
        return cls(**{name: checked(name, value) for name, value in options.items()})

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


def checked(name: str, value: Any) -> Any:
    """The value of one option, in plain form."""
    if value is None or name not in _RULES:
        return value
    try:
        return _RULES[name](value)
    except (ValueError, TypeError) as exc:
        raise ValueError(f"option {name!r} of a task call cannot be {value!r}: {exc}") from exc


def call_arguments(args: Any, kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of a call in plain form; None is none."""
    if type(args) is tuple and type(kwargs) is dict:
        return args, dict(kwargs)
    if args is not None and (isinstance(args, (str, bytes)) or not isinstance(args, Sequence)):
        raise TypeError(f"args must be a list or a tuple, not {args!r}")
    if kwargs is not None and not isinstance(kwargs, Mapping):
        raise TypeError(f"kwargs must be a mapping, not {kwargs!r}")
    return tuple(args or ()), dict(kwargs or {})


def positional(signature: inspect.Signature) -> tuple[float, float]:
    """The least and the most arguments that can be given by position alone; (inf, 0) when that cannot be."""
    least, most = 0.0, 0.0
    for one in signature.parameters.values():
        if one.kind is one.VAR_POSITIONAL:
            most = math.inf
        elif one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD):
            least, most = least + (one.default is one.empty), most + 1
        elif one.kind is one.KEYWORD_ONLY and one.default is one.empty:
            return math.inf, 0.0
    return least, most


def plain(value: Any) -> Any:
    """Signatures, and those in them, as mappings of no class of ours, which others can unpickle."""
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    return type(value)(map(plain, value)) if type(value) in (list, tuple) else value


def _signature(item: Any, option: str) -> dict[str, Any]:
    if isinstance(item, Mapping) and isinstance(item.get("task"), str):
        found: dict[str, Any] = plain(item)
        return found
    raise TypeError(f"{option} takes signatures, such as task.s(1), not {item!r}")
