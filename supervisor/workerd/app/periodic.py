"""The part of an App that knows of periodic tasks.

Errors:  ConfigError for a schedule, a task or arguments that cannot be.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, tzinfo
from functools import cached_property
from typing import Any

from workerd.app.sending.call import call_arguments
from workerd.app.settings.conf import Conf
from workerd.protocol.moment import zone_of
from workerd.signals.signal import Signal

logger = logging.getLogger(__name__)


class PeriodicTasks:
    """What an app adds, when it adds it, and by whose clocks it runs."""

    conf: Conf

    @cached_property
    def on_after_configure(self) -> Signal:
        """The app's modules have been imported: receivers add periodic tasks, and change settings."""
        return Signal("on_after_configure", ("source",))

    @cached_property
    def on_after_finalize(self) -> Signal:
        """The same, after the receivers of ``on_after_configure``."""
        return Signal("on_after_finalize")

    def add_periodic_task(
        self,
        schedule: Any,
        sig: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        name: str | None = None,
        **options: Any,
    ) -> str:
        """Send ``sig``, a signature, a task or its name, when ``schedule`` says; its key in the settings.

        ``schedule`` is seconds, a timedelta, a line such as ``*/5 * * * *``, or one of ``workerd.schedules``.
        ``options`` are those of a call, ``relative`` and ``missed`` (``run-once`` or ``skip``).
        """
        rest = {key: value for key, value in options.items() if key not in ("missed", "relative")}
        task, args, kwargs, own = _call_of(sig, *call_arguments(args, kwargs))
        key = name or _words(task, args, kwargs)
        if key in self.conf.beat_schedule:
            logger.warning("periodic task %r is added again: give them names, or only the last one runs", key)
        entry: dict[str, Any] = {
            "task": task,
            "schedule": schedule,
            "args": args,
            "kwargs": kwargs,
            "options": {**own, **rest},
        }
        entry |= {word: options[word] for word in ("missed", "relative") if word in options}
        self.conf.beat_schedule = {**self.conf.beat_schedule, key: entry}
        return key

    def beat_zone(self) -> tzinfo:
        """The zone by whose clocks periodic tasks run: the app's own, else UTC, else this machine's."""
        if self.conf.timezone:
            return zone_of(self.conf.timezone)
        if self.conf.enable_utc:
            return UTC
        # It reads how Python was built when it is imported.
        from workerd.schedules.zones import local_zone  # noqa: PLC0415

        return local_zone()

    def beat_defaults(self) -> dict[str, Any]:
        """The daemon's settings of a beat that the app gives, by the daemon's names for them."""
        found = {"beat.lease": self.conf.beat_lease, "beat.missed": self.conf.beat_missed}
        return {name: value for name, value in found.items() if value is not None}


def _call_of(
    sig: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Any, tuple[Any, ...], dict[str, Any], Mapping[str, Any]]:
    """(task, arguments, keywords, options) of ``sig`` with these arguments, as a signature takes them."""
    if not isinstance(sig, Mapping):
        return getattr(sig, "name", sig), args, kwargs, {}
    own_args, own_kwargs = call_arguments(sig.get("args"), sig.get("kwargs"))
    if not sig.get("immutable"):
        own_args, own_kwargs = (*args, *own_args), {**own_kwargs, **kwargs}
    return sig["task"], own_args, own_kwargs, sig.get("options") or {}


def _words(task: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    return f"{task}({', '.join([*map(repr, args), *(f'{key}={value!r}' for key, value in kwargs.items())])})"
