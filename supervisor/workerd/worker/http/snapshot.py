"""What metrics are made of: plain values, read at once; what they mean, ``kinds`` says."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import workerd
from workerd.worker.consumer.link import LinkState
from workerd.worker.http.measures import Measures
from workerd.worker.service.health import health
from workerd.worker.status import held, queues

if TYPE_CHECKING:
    from workerd.worker.controller import WorkController
    from workerd.worker.pool.step import NamedPool


def snapshot(worker: WorkController) -> dict[str, Any]:
    """For the command ``metrics``.  Without the step ``Http`` nothing is measured of single tasks."""
    link, writer = worker.consumer.link, worker.dispatcher.results
    return {
        "name": worker.config.name,
        "node": worker.hostname,
        "version": workerd.__version__,
        "pid": os.getpid(),
        "started": worker.clock.wall() - (worker.clock.now() - worker.started_at),
        "state": worker.state.value.lower(),
        "health": health(worker),
        "link": {"up": link.state is LinkState.UP, "restarts": max(link.restarts, 0)},
        "totals": worker.dispatcher.totals.as_dict(),
        "held": held(worker),
        "results": writer.pending if writer is not None else 0,
        "memory": worker.memory.status(),
        "pools": {name: _pool(pool) for name, pool in worker.pools.items()},
        **queues(worker),
        **(worker.http.measures if worker.http is not None else Measures()).plain(),
    }


def _pool(pool: NamedPool) -> dict[str, Any]:
    return {
        "wanted": pool.wanted,
        "alive": pool.alive,
        "busy": pool.busy,
        "generation": pool.generation,
        "degraded": bool(pool.degraded or pool.without_code),
        "deaths": {cause.value: count for cause, count in pool.deaths.counts.items()},
    }
