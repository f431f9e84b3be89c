"""Beat: this daemon may send the app's periodic tasks (``-B``, ``beat.enabled``).

A program beside the daemon does it, for it runs the app's code and waits for the broker; see
``workerd.beat``.  It begins anew when new code serves.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import msgspec

from workerd.bootsteps import StartStopStep
from workerd.worker.beat.argument import Argument
from workerd.worker.beside import SideProgram

if TYPE_CHECKING:
    from workerd.worker.controller import WorkController


MODULE = "workerd.worker.beat.program"
PATIENCE = 2.0
"""Seconds for the program's end: it gives up its seat, so that another node need not wait for its lease."""


class Beat(StartStopStep):
    """Worker step behind ``--beat``; absent without it."""

    label = "Beat"
    requires = ("Hub", "Timer", "Broker")
    conditional = True

    def __init__(self, worker: WorkController, **options: Any) -> None:
        self.enabled = worker.config.beat.enabled
        self.told: dict[str, Any] = {}
        """What the program has said last of itself."""
        self._program: SideProgram | None = None
        self._argument = b""
        worker.beat = self if self.enabled else None

    def start(self, worker: WorkController) -> None:
        if self._program is None:
            self._argument = argument(worker)
            self._program = SideProgram(
                worker.hub,
                worker.reaper,
                worker.clock,
                name="beat",
                argv=["-m", MODULE],
                heard=self._heard,
                begun=self._begun,
                patience=PATIENCE,
            )
            self._program.start()

    def stop(self, worker: WorkController) -> None:
        if self._program is not None:
            self._program.stop()
            self._program = None

    def reloaded(self) -> None:
        """New code serves, and its schedule may be another one."""
        if self._program is not None:
            self._program.replace()

    def status(self) -> dict[str, Any]:
        """``leads``, whether this node sends the tasks now; ``next`` (Unix time) and ``name`` of what is due
        next; the program's ``pid`` and ``restarts``."""
        if self._program is None:
            return {}
        return {"pid": self._program.pid, "restarts": self._program.restarts, **self.told}

    def _begun(self) -> None:
        self.told = {}
        if self._program is not None:
            self._program.tell(self._argument)

    def _heard(self, fact: dict[str, Any]) -> None:
        self.told = fact
        if self._program is not None:
            self._program.well()

    def info(self, worker: WorkController) -> dict[str, Any]:
        return {"beat": self.status()} if self.enabled else {}


def argument(worker: WorkController) -> bytes:
    """What the program is told, as one line."""
    config = worker.config
    return msgspec.json.encode(
        Argument(
            app=config.app,
            name=config.name,
            hostname=worker.hostname,
            broker=tuple(worker.broker_urls),
            backend=worker.backend_url,
            loglevel=config.loglevel,
            log=config.log,
            words=tuple(worker.given.words),
            settings=worker.given.changed(worker.app.conf.given()),
            path=tuple(entry for entry in sys.path if entry),
            beat=config.beat,
        )
    )
