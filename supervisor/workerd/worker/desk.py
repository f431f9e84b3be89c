"""The operator's view of the worker: what the control socket's commands act on.

Nothing here blocks; each request becomes an event of the life cycle, as a signal would.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from workerd.control.daemon import Fact
from workerd.control.scaling import scaled
from workerd.errors import UsageError, WorkerdError
from workerd.protocol.rate import Rate
from workerd.worker.http.snapshot import snapshot
from workerd.worker.life.dry_start import DryStart
from workerd.worker.life.lifecycle import UP, Event
from workerd.worker.log import logs
from workerd.worker.remote.node import ClusterNode
from workerd.worker.service.health import health
from workerd.worker.status import leaver, status
from workerd.worker.task_limits import change_limits

if TYPE_CHECKING:
    from workerd.worker.controller import WorkController

logger = logging.getLogger(__name__)


class OperatorDesk:
    """Implements ``control.daemon.Daemon``."""

    def __init__(self, worker: WorkController) -> None:
        self.worker = worker
        self.node = ClusterNode(worker)
        self._subscribers: list[Callable[[Fact], None]] = []
        self._trial: DryStart | None = None

    def status(self) -> dict[str, Any]:
        return status(self.worker)

    def health(self) -> dict[str, Any]:
        return health(self.worker)

    def metrics(self) -> dict[str, Any]:
        return snapshot(self.worker)

    def ask_stop(self, now: bool, timeout: float | None) -> None:
        if timeout is not None:
            self.worker.drain_timeout = timeout
            self.worker.conductor.shorten(timeout)
        self.worker.happened(Event.QUIT_ASKED if now else Event.STOP_ASKED)

    def ask_reload(self, done: Callable[[bool, str, str], None], whole: bool = False) -> None:
        self.worker.reloads.ask(done, whole=whole)
        self.worker.happened(Event.RELOAD_ASKED)
        if whole:
            self._tell_older()

    def _tell_older(self) -> None:
        """Each second, while somebody waits for the end of the last older child: for which it waits."""
        reloads, older = self.worker.reloads, self.worker.pools.older()
        if reloads.lingering:
            titles = [child.title for child in older if child.title]
            self.tell({"event": "older", "children": len(older), "waiting_for": titles})
        if reloads.asked_whole:
            self.worker.hub.call_later(1.0, self._tell_older)

    # -- restart -------------------------------------------------------------------------------------

    def ask_restart(self) -> None:
        """Try the new code first; a daemon never stops for code that does not start.

        A request that comes while one is being tried is the same request.
        """
        if not self._is_up():
            self._restart_failed(f"the daemon is {self.worker.state.value}", "")
        elif self._trial is None:
            logger.info("Restart asked for: trying the new code")
            limit = self.worker.config.boot_timeout
            self._trial = DryStart(self.worker.hub, self.worker.reaper, limit, self._tried)

    def _tried(self, ok: bool, text: str) -> None:
        self._trial = None
        if not ok:
            self._restart_failed("the new code does not start", text)
        elif self._is_up():
            self.worker.happened(Event.RESTART_ASKED)
        else:
            self._restart_failed(f"the daemon is {self.worker.state.value}", "")

    def _restart_failed(self, why: str, text: str) -> None:
        logger.error("No restart: %s%s", why, f"\n{text}" if text else "")
        self.tell({"event": "restart-failed", "error": why, "traceback": text})

    def end_trial(self) -> None:
        """No new code is wanted any more."""
        if self._trial is not None:
            self._trial.kill()

    # -- scale ---------------------------------------------------------------------------------------

    def scale(self, spec: str, pool: str, dry_run: bool) -> dict[str, Any]:
        if not self._is_up():
            raise WorkerdError(
                f"the daemon is {self.worker.state.value}", "start it again to change its size"
            )
        found = self.worker.pools.named(pool)
        lower, upper = scaled(found.bounds, spec)
        was, wanted = found.wanted, min(max(found.wanted, lower), upper)
        found.check_growth(wanted)
        leaving = [leaver(child) for child in found.retired_by(wanted)]
        if not dry_run:
            found.resize(lower, upper, reason=f"scale {spec}")
        return {
            "pool": pool,
            "lower": lower,
            "upper": upper,
            "was": was,
            "wanted": wanted,
            "alive": found.alive,
            "leaving": leaving,
            "dry_run": dry_run,
        }

    # -- the log ---------------------------------------------------------------------------------------

    def reopen_log(self) -> dict[str, Any]:
        file, why = logs.reopen()
        if file and not why:
            logger.info("The log file %s is opened anew", file)
        return {"file": file, "problem": why}

    # -- runs ----------------------------------------------------------------------------------------

    def limit(
        self, task: str, soft: float | None, hard: float | None, rate: Rate, reset: bool
    ) -> dict[str, Any]:
        return change_limits(self.worker, task, soft, hard, rate, reset)

    def terminate(self, task_id: str, kill: bool) -> dict[str, Any]:
        done = self.worker.dispatcher.orders.terminate(
            task_id, kill=kill, grace=self.worker.config.drain.grace
        )
        if not done:
            raise UsageError(
                f"no task {task_id!r} is here", "write the whole id; see `workerd status` for what runs"
            )
        logger.info("An operator has ended %s: %s", task_id, ", ".join(done))
        return {"id": task_id, "done": done}

    def _is_up(self) -> bool:
        return self.worker.state in UP

    # -- facts ---------------------------------------------------------------------------------------

    def subscribe(self, callback: Callable[[Fact], None]) -> Callable[[], None]:
        self._subscribers.append(callback)

        def cancel() -> None:
            if callback in self._subscribers:
                self._subscribers.remove(callback)

        return cancel

    def tell(self, fact: Fact) -> None:
        """A fact for all who subscribed."""
        for callback in list(self._subscribers):
            callback(fact)
