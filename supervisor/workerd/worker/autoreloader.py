"""Autoreloader: reload when the app's own code changes (``watch``, for development).

Watched are the packages and modules that the app has imported from outside the standard library and the
installed packages: at first those that this process has imported, then those that each new generation tells.
A change asks for the reload that HUP asks for, so what is broken is logged and the old code goes on serving.

Errors: ConfigError from the constructor where the package that watches is not installed.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workerd.app.sources import own_sources, source_of
from workerd.bootsteps import StartStopStep
from workerd.worker.life.lifecycle import Event, State
from workerd.worker.watching import Watcher, check_installed

if TYPE_CHECKING:
    from workerd.worker.controller import WorkController

logger = logging.getLogger(__name__)

SHOWN = 3
"""Changed files in one line of the log, at most."""


class Autoreloader(StartStopStep):
    """Worker step behind ``--watch``; absent without it."""

    label = "Autoreloader"
    requires = ("Timer", "Pool")
    conditional = True

    def __init__(self, worker: WorkController, **options: Any) -> None:
        self.enabled = worker.config.watch
        self.worker = worker
        self.watcher: Watcher | None = None
        worker.autoreloader = self if self.enabled else None
        if self.enabled:
            check_installed()

    def start(self, worker: WorkController) -> None:
        if self.watcher is None:
            self.watcher = Watcher(worker.hub, worker.reaper, worker.clock, self.changed)
            # An app that is installed itself is watched where it is installed.
            self.watcher.follow(own_sources() or source_of(worker.config.app.partition(":")[0]))
            self.watcher.start()
            logger.info("Watching %s", ", ".join(self.watcher.paths) or "nothing: the app has no files")

    def stop(self, worker: WorkController) -> None:
        if self.watcher is not None:
            self.watcher.stop()
            self.watcher = None

    @property
    def paths(self) -> list[str]:
        """What is watched."""
        return self.watcher.paths if self.watcher is not None else []

    def follow(self, sources: Iterable[str]) -> None:
        """New code has been imported from here."""
        if self.watcher is not None:
            self.watcher.follow(sources)

    def changed(self, paths: list[str]) -> None:
        """Reload, unless the daemon is on its way down."""
        if self.worker.state not in (State.BOOTING, State.RUNNING, State.RELOADING):
            return
        names = ", ".join(Path(path).name for path in paths[:SHOWN])
        more = f" and {len(paths) - SHOWN} more" if len(paths) > SHOWN else ""
        logger.info("Changed: %s%s", names, more)
        self.worker.happened(Event.RELOAD_ASKED)

    def info(self, worker: WorkController) -> dict[str, Any]:
        """For ``status``: the watched ``paths``, and the watching program's ``pid`` and ``restarts``."""
        if self.watcher is None:
            return {}
        watcher = self.watcher
        return {"watch": {"paths": watcher.paths, "pid": watcher.pid, "restarts": watcher.restarts}}
