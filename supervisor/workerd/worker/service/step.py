"""Notify: what the daemon tells the service manager that has started it.

READY when the pool is up and messages are consumed, or when the broker is waited for, which STATUS says: a
broker that is down at boot holds up no other service.  A reload and a restart in place are RELOADING; a
stop is STOPPING, and more time is asked for as long as the loop gets on with it.  The watchdog is fed by
that loop, and only while the daemon makes progress.

Units: seconds.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from workerd.bootsteps import StartStopStep
from workerd.worker.consumer.link import LinkState
from workerd.worker.life.lifecycle import State
from workerd.worker.service.notifier import joined, usec

if TYPE_CHECKING:
    from workerd.worker.controller import WorkController

logger = logging.getLogger(__name__)

LOOK = 5.0
"""Between two looks at what STATUS should say, where no watchdog asks for more."""
EXTENSION = 15.0
"""What a stop asks for each second: a loop that hangs has no more than that."""
ENDING = frozenset({State.DRAINING, State.STOPPING, State.KILLING})


class Notify(StartStopStep):
    """Absent where nobody listens."""

    label = "Notify"
    requires = ("Hub", "Timer", "Pool")
    conditional = True

    def __init__(self, worker: WorkController, **options: Any) -> None:
        self.enabled = worker.notifier.listening
        self._worker, self._notifier = worker, worker.notifier
        self._ready = self._reloading = self._stopping = False
        self._stuck: str | None = None
        self._ticker: Any = None
        self._unsubscribe: Callable[[], None] | None = None

    def start(self, worker: WorkController) -> None:
        if self._ticker is not None:
            return
        self._unsubscribe = worker.desk.subscribe(self.heard)
        watchdog = self._notifier.watchdog
        self._ticker = worker.hub.call_repeatedly(min(watchdog / 3, LOOK) if watchdog else LOOK, self.look)
        self._notifier.tell(status="starting")

    def stop(self, worker: WorkController) -> None:
        if self._ticker is not None:
            self._ticker.cancel()
            self._ticker = None
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None

    # -- what happens --------------------------------------------------------------------------------

    def heard(self, fact: Mapping[str, Any]) -> None:
        """A fact that the daemon's subscribers are told."""
        worker = self._worker
        words: list[str] = []
        if worker.state in ENDING:
            words = self._ending(fact)
        elif worker.state is State.RELOADING:
            words = self._reloads()
        elif worker.state is State.RUNNING and (worker.ready or self._waits_for_broker()):
            words = self._serves()
        self._notifier.tell(*words, status=self.words())

    def _serves(self) -> list[str]:
        if self._ready and not self._reloading:
            return []
        self._ready, self._reloading = True, False
        return ["READY=1"]

    def _reloads(self) -> list[str]:
        if self._reloading:
            return []
        self._reloading = True
        # The manager tells this reload from one before it by the time.
        return ["RELOADING=1", usec("MONOTONIC_USEC", time.monotonic())]

    def _ending(self, fact: Mapping[str, Any]) -> list[str]:
        more = [usec("EXTEND_TIMEOUT_USEC", EXTENSION)] if "seconds_left" in fact else []
        if self._worker.life.restart:
            return self._reloads() + more
        first, self._stopping = not self._stopping, True
        return ["STOPPING=1"] * first + more

    def _waits_for_broker(self) -> bool:
        link = self._worker.consumer.link
        return bool(self._worker.reloads.up) and link.failures > 0 and link.restarts < 0

    # -- what goes on --------------------------------------------------------------------------------

    def look(self) -> None:
        """Tell how things are, and that the daemon gets on if it does."""
        stuck = self._worker.progress.stuck()
        if stuck != self._stuck:
            self._stuck = stuck
            if stuck:
                logger.critical("The daemon does not get on: %s; the watchdog is not fed", stuck)
        fed = ["WATCHDOG=1"] if stuck is None and self._notifier.watchdog else []
        self._notifier.tell(*fed, status=self.words())

    def words(self) -> str:
        """The line of ``systemctl status``."""
        worker = self._worker
        state = "restarting" if worker.life.restart else worker.state.value
        if worker.state is State.BOOTING and not worker.reloads.up:
            return f"{state}: the first children are being started"
        alive, busy = (
            sum(getattr(pool, what) for pool in worker.pools.values()) for what in ("alive", "busy")
        )
        tasks = f"{alive} children, {busy} busy" if alive != 1 else f"1 child, {busy} busy"
        link = worker.consumer.link
        broker = "" if link.state is LinkState.UP else f"waiting for the broker: {link.reason}"
        trouble = next((pool.degraded for pool in worker.pools.values() if pool.degraded), "")
        return joined((f"{state}: {tasks}", broker, trouble or "", self._stuck or ""))
