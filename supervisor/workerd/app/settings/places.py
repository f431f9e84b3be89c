"""Checks of settings that say where messages go: queues, their exchanges, and the routes of tasks.

Errors:  ValueError and TypeError whose text says what to write.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kombu.entity import Queue

from workerd.app.settings.rules import one_of, short_name, text

exchange_type = one_of("direct", "topic", "fanout", "headers")
"""A kind of exchange."""

queue_type = one_of("classic", "quorum")
"""A kind of queue of RabbitMQ."""

Route = Mapping[str, Any] | str | Queue
"""Options of a call, or the queue alone."""

Router = Callable[..., Route | None]
"""Asked with ``(name, args, kwargs, options, task=...)``; None leaves it to the next one."""

_ROUTES = "write a mapping of names to routes, a function, its dotted name, or a list of these"


def queues(value: Any) -> tuple[Queue | str, ...]:
    """Queues by name or as kombu's objects; a mapping gives each name its options."""
    if isinstance(value, Mapping):
        return tuple(_queue(name, options) for name, options in value.items())
    if isinstance(value, str):
        raise ValueError("write a list of queues, or a mapping of names to options")
    return tuple(item if isinstance(item, Queue) else text(item) for item in value)


def routes(value: Any) -> Any:
    """What says where each task goes, as it was written; copied where it can be changed later."""
    if isinstance(value, Mapping):
        return {_pattern(key): _route(route) for key, route in value.items()}
    if isinstance(value, (list, tuple)):
        return tuple(_router(item) for item in value)
    return _router(value)


def is_pair(value: Any) -> bool:
    """Whether this is one name or pattern, and its route."""
    return (
        isinstance(value, Sequence)
        and not isinstance(value, str)
        and len(value) == 2
        and isinstance(value[0], (str, re.Pattern))
        and isinstance(value[1], (str, Queue, Mapping))
    )


def _queue(name: str, options: Any) -> Queue:
    if isinstance(options, Queue):
        return options
    if not isinstance(options, Mapping):
        raise ValueError(f"write the options of queue {name!r} as a mapping")
    given = dict(options)
    key = given.pop("binding_key", None)
    given["routing_key"] = given.get("routing_key") or key or name
    made: Queue = Queue.from_dict(short_name(name), **given)  # type: ignore[no-untyped-call]
    return made


def _router(value: Any) -> Any:
    if isinstance(value, Mapping):
        return routes(value)
    if callable(value) or hasattr(value, "route_for_task"):
        return value
    if is_pair(value):
        return (_pattern(value[0]), _route(value[1]))
    if isinstance(value, str):
        if not value.replace(":", ".").strip(".").replace(".", "").isidentifier() or "." not in value.replace(
            ":", "."
        ):
            raise ValueError(f"{value!r} is no dotted name of a router; {_ROUTES}")
        return value
    if isinstance(value, (list, tuple)) and all(is_pair(item) for item in value):
        return tuple((_pattern(key), _route(route)) for key, route in value)
    raise ValueError(_ROUTES)


def _pattern(value: Any) -> str | re.Pattern[str]:
    if isinstance(value, re.Pattern):
        return value
    return text(value)


def _route(value: Any) -> Route:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Queue):
        return value
    return short_name(value)
