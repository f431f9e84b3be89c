"""Try the new code in a process of its own before the old code is given up for it.

The trial is this daemon's own command line with ``--dry``: settings, app and steps are read and ordered as
a start would, and nothing is started.

Units: seconds.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from typing import IO, TYPE_CHECKING

from workerd.worker.life.again import VARIABLE

if TYPE_CHECKING:
    from workerd.worker.loop.hub import Hub
    from workerd_pool import Reaper

DRY = "--dry"


class DryStart:
    """One trial; ``done(ok, text)`` with what it printed, after ``limit`` seconds at the latest."""

    def __init__(self, hub: Hub, reaper: Reaper, limit: float, done: Callable[[bool, str], None]) -> None:
        self._done, self._reaper = done, reaper
        self._output: IO[str] = tempfile.TemporaryFile("w+")  # noqa: SIM115 (read when the process is gone)
        process = subprocess.Popen(
            [sys.executable, *sys.orig_argv[1:], DRY],
            env={**os.environ, VARIABLE: ""},
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=self._output,
            start_new_session=True,
        )
        # The reaper waits for every child of this process; Popen must not.
        process.returncode = 0
        self._pid = process.pid
        self._alarm = hub.call_later(limit, self.kill)
        reaper.watch(self._pid, self._ended)

    def kill(self) -> None:
        """It takes too long, or nobody wants to know any more."""
        self._reaper.signal(self._pid, signal.SIGKILL)

    def _ended(self, status: int) -> None:
        self._alarm.cancel()
        self._output.seek(0)
        text = self._output.read().strip()
        self._output.close()
        killed = "" if status != signal.SIGKILL else "the trial was ended: it took too long"
        self._done(status == 0, "\n".join(filter(None, (text, killed))))
