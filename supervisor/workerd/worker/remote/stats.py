"""What ``inspect stats`` tells: Celery's keys, and those of our own parts beside them."""

from __future__ import annotations

import os
import resource
from typing import TYPE_CHECKING, Any

from workerd.masking import masked, masked_setting
from workerd.worker.status import info

if TYPE_CHECKING:
    from workerd.delivery import Dispatcher
    from workerd.worker.controller import WorkController
    from workerd.worker.pool.step import NamedPool

USAGE = (
    *("utime", "stime", "maxrss", "ixrss", "idrss", "isrss", "minflt", "majflt", "nswap", "inblock"),
    *("oublock", "msgsnd", "msgrcv", "nsignals", "nvcsw", "nivcsw"),
)


def stats(worker: WorkController) -> dict[str, Any]:
    """Plain values; uptime and usage are of the supervisor."""
    dispatcher, consumer = worker.dispatcher, worker.consumer
    pools = {name: pool_stats(pool) for name, pool in worker.pools.items()}
    default = worker.pools.default
    source = dispatcher.settler.source
    found = {
        **{key: value for told in info(worker).values() for key, value in told.items()},
        "total": dict(dispatcher.runs.begun),
        "pid": os.getpid(),
        "clock": str(worker.app.clock.value),
        "uptime": int(worker.clock.now() - worker.started_at),
        "pool": pools.pop(default.name),
        "broker": broker_stats(consumer.connection),
        "prefetch_count": prefetched(dispatcher),
        "rusage": usage(),
        # What waits in the broker for its ETA is in no node's list of scheduled tasks.
        "delayed": source.parked if source is not None else 0,
    }
    lower, upper = default.bounds
    if lower < upper:
        found["autoscaler"] = {
            "max": upper,
            "min": lower,
            "current": default.wanted,
            "qty": default.lane.demand(),
        }
    return found | ({"pools": pools} if pools else {})


def pool_stats(pool: NamedPool) -> dict[str, Any]:
    """One pool."""
    children, limits = pool.children(), pool.lane.limits
    served = [child.served for child in children]
    total = sum(served)
    return {
        "implementation": "workerd_pool:Pool",
        "max-concurrency": pool.wanted,
        "processes": [child.pid for child in children if child.pid],
        "max-tasks-per-child": pool.config.max_tasks_per_child or "N/A",
        "put-guarded-by-semaphore": False,
        "timeouts": [limits.soft or 0, limits.hard or 0],
        "writes": {
            "total": total,
            "avg": f"{1 / len(served) if total and served else 0:.2f}",
            "all": ", ".join(f"{count / total if total else 0:.2f}" for count in served),
            "raw": ", ".join(map(str, served)),
            "strategy": "fair",
            "inqueues": {"total": len(children), "active": pool.busy},
        },
    }


def broker_stats(connection: Any) -> dict[str, Any]:
    """The connection as kombu tells of it, without secrets; empty while there is none."""
    if connection is None:
        return {}
    found = dict(connection.info())
    found.pop("password", None)
    found["alternates"] = [masked(url) for url in found.get("alternates") or ()]
    options = found.get("transport_options") or {}
    found["transport_options"] = {
        name: masked_setting(name, value)
        for name, value in options.items()
        if isinstance(value, (str, int, float, bool))
    }
    found["ssl"] = bool(found.get("ssl"))
    found["credential_provider"] = None
    return found


def prefetched(dispatcher: Dispatcher) -> int:
    """Messages that this node would hold for its slots."""
    pools = [(lane, lane.pool) for lane in dispatcher.lanes.values()]
    return sum(pool.alive + lane.prefetch.waiting(pool.alive) for lane, pool in pools if pool is not None)


def usage() -> dict[str, float | int]:
    """Of the supervisor; times in seconds, ``maxrss`` in kilobytes."""
    found = resource.getrusage(resource.RUSAGE_SELF)
    return {name: getattr(found, f"ru_{name}") for name in USAGE}
