"""``task_routes``: who is asked where a call goes, in which order, and what an answer means.

Errors:  ConfigError for a router that cannot be found and for an answer that is no route; what a router
         itself raises goes up.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

import msgspec
from kombu.entity import Exchange, Queue

from workerd.app.sending.call import CallOptions
from workerd.app.settings.places import is_pair
from workerd.errors import ConfigError

Ask = Callable[[str, Any, Any, CallOptions, Any], Any]
"""(task's name, args, kwargs, options, the task if it is known) to a route, or None."""

PLACE = ("queue", "exchange", "routing_key")
"""Options that say where a call goes; a call that names one of the first two has them all itself."""


class Routes:
    """One value of the setting, ready to be asked."""

    def __init__(self, given: Any) -> None:
        routers = list(_several(given))
        self._routers = [_router(one) for one in routers]
        self.fixed = all(isinstance(one, (Mapping, tuple, list)) for one in routers)
        """No code is asked: what is said of a call depends on its name alone."""

    def give(self, call: CallOptions, task: str, args: Any, kwargs: Any, kind: Any) -> None:
        """Give ``call`` what the first router that answers says, as far as it says nothing itself."""
        for ask in self._routers:
            if (found := ask(task, args, kwargs, call, kind)) is not None:
                _merge(call, task, _spread(task, found))
                return


def matches(pattern: str | re.Pattern[str], task: str) -> bool:
    """True when a key of ``task_routes`` (a name, a glob or a compiled pattern) means ``task``."""
    if isinstance(pattern, re.Pattern):
        return pattern.match(task) is not None
    return pattern == task or fnmatchcase(task, pattern)


def _several(given: Any) -> Iterable[Any]:
    if not isinstance(given, (tuple, list)):
        return (given,)
    # A list of names and routes is one router, as a mapping would be.
    return (given,) if given and all(map(is_pair, given)) else given


def _router(given: Any) -> Ask:
    if isinstance(given, Mapping):
        return partial(_by_name, dict(given.items()))
    if isinstance(given, (tuple, list)):
        pairs: Any = [given] if is_pair(given) else given
        return partial(_by_name, dict(pairs))
    found = _named(given) if isinstance(given, str) else given
    if hasattr(found, "route_for_task"):
        method = (found() if isinstance(found, type) else found).route_for_task
        return lambda task, args, kwargs, _call, _kind: method(task, args, kwargs)
    if not callable(found):
        raise ConfigError(f"task_routes names {given!r}, which is no router", "name a function")
    return lambda task, args, kwargs, call, kind: found(task, args, kwargs, _as_mapping(call), task=kind)


def _by_name(routes: Mapping[Any, Any], task: str, *_: Any) -> Any:
    """A name goes before the patterns, and these in their order."""
    if task in routes:
        return routes[task]
    return next((route for pattern, route in routes.items() if matches(pattern, task)), None)


def _named(where: str) -> Any:
    module, _, attribute = where.rpartition(":" if ":" in where else ".")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as exc:
        raise ConfigError(
            f"task_routes names {where!r}, which cannot be found: {exc}", "write module.function"
        ) from exc


def _as_mapping(call: CallOptions) -> dict[str, Any]:
    given = {name: getattr(call, name) for name in CallOptions.__struct_fields__}
    return {name: value for name, value in given.items() if value is not None}


def _spread(task: str, route: Any) -> dict[str, Any]:
    if isinstance(route, (str, Queue)):
        return {"queue": route}
    if not isinstance(route, Mapping):
        raise ConfigError(f"the route of {task} is {route!r}", "write a queue, or a mapping of options")
    found = dict(route)
    kind, exchange = found.pop("exchange_type", None), found.get("exchange")
    if kind is not None and isinstance(exchange, str) and exchange:
        found["exchange"] = Exchange(exchange, type=kind)  # type: ignore[no-untyped-call]
    return found


def _merge(call: CallOptions, task: str, route: dict[str, Any]) -> None:
    try:
        given = CallOptions.of(route)
    except (TypeError, ValueError, msgspec.ValidationError) as exc:
        raise ConfigError(f"the route of {task} cannot be used: {exc}", "mend task_routes") from exc
    placed = call.queue is not None or call.exchange is not None
    for name in route:
        if getattr(call, name) is None and not (placed and name in PLACE):
            setattr(call, name, getattr(given, name))
