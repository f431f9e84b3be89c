"""Ours with ``cProfile`` on in the supervisor; at the end ``layers.json`` lies beside the ledger.

It holds seconds by the file whose function spent them, with what built-in functions took on its behalf; and,
apart from those, seconds by built-in function where one makes a system call.
"""

from __future__ import annotations

import cProfile
import json
import os
from collections import defaultdict
from pathlib import Path
from typing import Any

from app_workerd import app, noop, send, send_many

from workerd import bootsteps

__all__ = ["app", "noop", "send", "send_many"]
KERNEL = ("'_socket.socket'", "'select.epoll'", "posix.")
WARM = 500
"""Messages before the profile begins."""


class Profile(bootsteps.StartStopStep):
    """From the first few hundred messages to the stop."""

    requires = ("Pool",)

    def __init__(self, worker: Any, **options: Any) -> None:
        self._profile = cProfile.Profile()
        self._timer: Any = None

    def start(self, worker: Any) -> None:
        self._timer = worker.timer.call_repeatedly(0.01, self.look, (worker,))

    def look(self, worker: Any) -> None:
        if worker.dispatcher.totals.succeeded >= WARM:
            self._timer.cancel()
            self._profile.enable()

    def stop(self, worker: Any) -> None:
        self._timer.cancel()
        self._profile.disable()
        Path(os.environ["BENCH_LEDGER"]).with_name("layers.json").write_text(json.dumps(self.by_file()))

    def by_file(self) -> dict[str, float]:
        found: dict[str, float] = defaultdict(float)
        for entry in self._profile.getstats():
            if isinstance(entry.code, str):
                continue
            found[entry.code.co_filename] += entry.inlinetime
            for call in entry.calls or ():
                if isinstance(call.code, str):
                    kernel = any(map(call.code.__contains__, KERNEL))
                    found[call.code if kernel else entry.code.co_filename] += call.inlinetime
        return found


app.steps["worker"].add(Profile)
