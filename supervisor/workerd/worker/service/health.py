"""Health: what probes want to know.

*Live* is who gets on: to restart it would help nobody.  *Ready* is who runs tasks: its children are up and
the broker is there.  So a broker that is away makes a daemon unready, and leaves it live.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workerd.worker.consumer.link import LinkState
from workerd.worker.life.lifecycle import State
from workerd_pool.linux import stopped

if TYPE_CHECKING:
    from workerd.worker.controller import WorkController
    from workerd.worker.pool.step import NamedPool

SERVING = frozenset({State.RUNNING, State.RELOADING})


def health(worker: WorkController) -> dict[str, Any]:
    """``live``, ``ready``, and the ``reasons`` where one of them is false."""
    stuck = worker.progress.stuck()
    reasons = [stuck] if stuck else _unready(worker)
    return {"live": stuck is None, "ready": not reasons, "reasons": reasons}


def _unready(worker: WorkController) -> list[str]:
    if worker.state not in SERVING:
        return [f"the daemon is {worker.state.value}"]
    link = worker.consumer.link
    reasons = [] if link.state is LinkState.UP else [f"no link to the broker: {link.reason}"]
    for name, pool in worker.pools.items():
        if pool.wanted and not pool.alive:
            why = pool.degraded or ("they are being started" if not _silent(pool) else "none of them answers")
            reasons.append(f"pool {name} has no child: {why}")
        elif pool.wanted and all(stopped(child.pid) for child in pool.children()):
            # Without work nobody else would notice.
            reasons.append(f"pool {name} has no child that runs: each is stopped by a signal or a debugger")
    return reasons


def _silent(pool: NamedPool) -> bool:
    """It has children, and they do not read what they are given."""
    return any(child.state == "SILENT" for child in pool.children())
