"""What ``app.conf`` says to the daemon: which of the daemon's own settings each of these stands for.

A flag, a ``WORKERD_*`` variable and the file go before them; see ``workerd.config``.

Units:  as the daemon's settings have them, from those of ``names``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from workerd.config.model import PoolConfig

if TYPE_CHECKING:
    from workerd.app.settings.conf import Conf


class Stands(NamedTuple):
    """For which setting of the daemon one of the app stands, and for what value."""

    key: str
    value: Callable[[Any], Any] = lambda value: value or None
    """None where it says nothing."""


DAEMON: Mapping[str, Stands] = MappingProxyType(
    {
        "broker_url": Stands("broker", lambda urls: tuple(urls) if urls else None),
        "broker_read_url": Stands("broker", lambda urls: tuple(urls) if urls else None),
        "result_backend": Stands("backend", lambda url: url),
        "worker_concurrency": Stands("size", lambda count: (count, count) if count else None),
        "worker_max_tasks_per_child": Stands("max_tasks_per_child"),
        "worker_max_memory_per_child": Stands(
            "max_memory_per_child", lambda kilobytes: f"{kilobytes}kB" if kilobytes else None
        ),
        "worker_proc_alive_timeout": Stands(
            # Celery's is for the fork alone, ours for all that a child does until it is ready.
            "boot_timeout",
            lambda seconds: max(seconds, PoolConfig().boot_timeout) if seconds else None,
        ),
        "worker_enable_remote_control": Stands(
            "control.allow", lambda enabled: None if enabled else ("none",)
        ),
        "worker_send_task_events": Stands("cluster.events"),
    }
)
"""Later ones go before earlier ones of the same key."""


def for_daemon(conf: Conf) -> Iterator[tuple[str, Any]]:
    """The daemon's settings that these settings give."""
    for name, stands in DAEMON.items():
        if (value := stands.value(conf[name])) is not None:
            yield stands.key, value


def waiting_per_slot(conf: Conf) -> float | None:
    """Messages that may wait here for each slot, beside the one that it runs; None for no limit.

    Celery's multiplier counts what runs too, as long as it is acknowledged late; 0 is no limit there.
    """
    if conf.worker_disable_prefetch:
        return 0
    multiplier = conf.worker_prefetch_multiplier
    return max(multiplier - 1, 0) if multiplier else None
