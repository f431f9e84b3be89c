"""The options of a task: which there are, and those that an app's setting stands in for.

Errors:  ConfigError for an option that does not exist, is not honoured, or cannot have its value.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from kombu.entity import Exchange, Queue

from workerd.app.settings import rules
from workerd.errors import ConfigError, close_matches

if TYPE_CHECKING:
    from workerd.app.task import Task


class FromConf:
    """A task attribute that is the app's setting as long as the task does not set it."""

    def __init__(self, setting: str) -> None:
        self.setting = setting

    def __get__(self, task: Task | None, owner: type[Task] | None = None) -> Any:
        holder: Any = owner if task is None else task
        return self if holder.app is None else getattr(holder.app.conf, self.setting)


# Options of ``@app.task`` that become attributes of the task, and what each may be; None is "not given",
# except that ``max_retries=None`` is "without end".
OPTIONS: Mapping[str, rules.Check] = MappingProxyType(
    {
        "name": rules.short_name,
        "typing": rules.flag,
        "max_retries": rules.optional(rules.count),
        "default_retry_delay": rules.seconds,
        "rate_limit": rules.rate,
        "ignore_result": rules.flag,
        "trail": rules.flag,
        "send_events": rules.flag,
        "store_errors_even_if_ignored": rules.flag,
        "serializer": rules.text,
        "compression": rules.text,
        "time_limit": rules.limit,
        "soft_time_limit": rules.limit,
        "track_started": rules.flag,
        "acks_late": rules.flag,
        "acks_on_failure": rules.flag,
        "acks_on_timeout": rules.flag,
        "reject_on_worker_lost": rules.optional(rules.flag),
        "throws": rules.classes,
        "expires": rules.delay,
        "priority": rules.priority,
        "queue": rules.place(Queue),
        "exchange": rules.place(Exchange),
        "routing_key": rules.short_name,
        "resultrepr_maxsize": rules.count,
        "autoretry_for": rules.classes,
        "dont_autoretry_for": rules.classes,
        "retry_kwargs": rules.mapping,
        "retry_backoff": rules.either(rules.flag, rules.number),
        "retry_backoff_max": rules.seconds,
        "retry_jitter": rules.flag,
    }
)

NOT_HONOURED = frozenset(
    [
        "Request",
        "Strategy",
        "backend",
        "lazy",
        "pydantic",
        "pydantic_context",
        "pydantic_dump_kwargs",
        "pydantic_strict",
        "retry_on_worker_lost",
        "send_events",
        "shadow_name",
        "shared",
    ]
)


def checked(task: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of one task, each known and of a usable form; None means not given."""
    options = dict(options)
    if (both := options.pop("acks_on_failure_or_timeout", None)) is not None:
        options = {"acks_on_failure": both, "acks_on_timeout": both, **options}
    for name in options:
        _check_name(name)
    given = {name: value for name, value in options.items() if value is not None or name == "max_retries"}
    return {name: _checked(task, name, value) for name, value in given.items()}


def check_attributes(task: Task) -> None:
    """Check the options that the task's classes set as attributes, as those of the decorator are."""
    for name in OPTIONS:
        value = inspect.getattr_static(task, name, None)
        if value is None or isinstance(value, (FromConf, property)):
            continue
        kept = _checked(task.name, name, value)
        if kept != value:
            setattr(task, name, kept)


def _checked(task: str, name: str, value: Any) -> Any:
    try:
        return OPTIONS[name](value)
    except (ValueError, TypeError) as exc:
        raise ConfigError(f"task option {name!r} of {task} cannot be {value!r}", str(exc)) from exc


def _check_name(name: str) -> None:
    if name in NOT_HONOURED:
        raise ConfigError(
            f"task option {name!r} is known from Celery and not honoured here yet", "leave it out"
        )
    if name not in OPTIONS:
        near = close_matches(name, OPTIONS, n=1)
        raise ConfigError(f"unknown task option {name!r}", f"did you mean {near[0]!r}?" if near else "")
