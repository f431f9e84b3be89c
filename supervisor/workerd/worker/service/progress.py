"""Progress: whether the daemon gets on, or only lives.

Asked by the loop itself, so a loop that hangs tells nothing.  A broker that is down, an app that crashes at
its start and a pool whose tasks are long are no reasons: the daemon does what it can, and a restart would
help nobody.  What counts is what cannot happen while the code is right: no child, and nothing that makes one;
no link, and nothing that tries.

Units: seconds of the monotonic clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workerd.worker.consumer.link import LinkState
from workerd.worker.life.lifecycle import State

if TYPE_CHECKING:
    from workerd.worker.controller import WorkController

PATIENCE = 10.0
"""How long something must have stood still."""


class Progress:
    """``stuck`` says what stands still."""

    def __init__(self, worker: WorkController) -> None:
        self._worker = worker
        self._since: dict[str, float] = {}

    def stuck(self) -> str | None:
        """What has stood still for too long, in words; None while the daemon gets on."""
        now = self._worker.clock.now()
        found = self._found() if self._worker.state in (State.RUNNING, State.RELOADING) else {}
        self._since = {what: self._since.get(what, now) for what in found}
        over = [what for what, since in self._since.items() if now - since >= found[what]]
        return "; ".join(over) or None

    def _found(self) -> dict[str, float]:
        """What stands still now, and how long it may."""
        found: dict[str, float] = {}
        for name, pool in self._worker.pools.items():
            if pool.wanted and not pool.children() and not pool.degraded and not pool.without_code:
                # A template that is being started has its own limit.
                patience = PATIENCE + self._worker.config.boot_timeout
                found[f"pool {name} has no child and starts none"] = patience
        consumer = self._worker.consumer
        if consumer.link.state is LinkState.DOWN and not consumer.trying:
            found["there is no link to the broker and nothing tries to make one"] = PATIENCE
        return found
