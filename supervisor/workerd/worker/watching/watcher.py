"""Watcher: the daemon's handle on the program that watches files.

Errors: ConfigError from ``check_installed``; whatever goes wrong later is logged.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from workerd.clock import Clock
from workerd.errors import ConfigError
from workerd.transport.loop import Loop
from workerd.worker.beside import SideProgram
from workerd.worker.embedded.server import Reaper


def check_installed() -> None:
    """ConfigError that says what to install, where the package that watches is missing."""
    if importlib.util.find_spec("watchfiles") is None:
        raise ConfigError(
            "watch needs the package watchfiles, which is not installed", "pip install 'workerd[dev]'"
        )


class Watcher:
    """``changed(paths)`` for each batch of changed files; ``follow`` may be called at any time."""

    def __init__(
        self, loop: Loop, reaper: Reaper, clock: Clock, changed: Callable[[list[str]], None]
    ) -> None:
        self.paths: list[str] = []
        self._changed = changed
        program = str(Path(__file__).with_name("program.py"))
        self._program = SideProgram(
            loop, reaper, clock, name="file watcher", argv=[program], heard=self._heard, begun=self._begun
        )

    @property
    def pid(self) -> int:
        """Of the program; 0 while it does not run."""
        return self._program.pid

    @property
    def restarts(self) -> int:
        """How often it has ended by itself."""
        return self._program.restarts

    def start(self) -> None:
        """Start the program, unless it runs or will."""
        self._program.start()

    def follow(self, paths: Iterable[str]) -> None:
        """Watch these too.  None is ever let go: code that fails to load must be mended where it was."""
        new = sorted(set(paths) - set(self.paths))
        if new:
            self.paths = sorted([*self.paths, *new])
            self._program.tell(new)

    def stop(self) -> None:
        """End the program; blocks until it has ended.  May be called twice."""
        self._program.stop()

    def _begun(self) -> None:
        """What one that dies was not told, its next life is."""
        if self.paths:
            self._program.tell(self.paths)

    def _heard(self, fact: dict[str, Any]) -> None:
        self._program.well()
        self._changed([str(path) for path in fact["changed"]])
