"""An app whose daemon counts what its supervisor calls while messages go through it.

``cProfile`` counts: it is C, and sees calls of Python functions and of built-in ones.  Once the daemon is
warm it watches one window of messages; then ``$COUNTED`` holds JSON: ``messages``, and ``calls`` by function.
"""

from __future__ import annotations

import cProfile
import json
import os
from pathlib import Path
from typing import Any

from workerd import App, bootsteps

app = App("counted")
WARM, WINDOW, AFTER = 1000, 2000, 1000
"""Messages before the window, in it, and behind it: as many are held all the time, in batches of hundreds."""


@app.task(name="counted.noop")
def noop(number: int) -> int:
    return number


class Counter(bootsteps.StartStopStep):
    """Looks every few milliseconds how many messages have gone through."""

    requires = ("Pool",)

    def __init__(self, worker: Any, **options: Any) -> None:
        self._profile = cProfile.Profile()
        self._since: tuple[int, int] | None = None
        self._timer: Any = None

    def start(self, worker: Any) -> None:
        self._timer = worker.timer.call_repeatedly(0.005, self.look, (worker,))

    def stop(self, worker: Any) -> None:
        self._timer.cancel()

    def look(self, worker: Any) -> None:
        totals = worker.dispatcher.totals
        if self._since is None:
            if totals.succeeded >= WARM:
                self._since = totals.received, totals.succeeded
                self._profile.enable()
        elif totals.succeeded >= self._since[1] + WINDOW:
            self._profile.disable()
            self._timer.cancel()
            # It may hold more or less than it did then.
            self._write((totals.received - self._since[0] + totals.succeeded - self._since[1]) / 2)

    def _write(self, messages: float) -> None:
        calls: dict[str, int] = {}
        for entry in self._profile.getstats():
            code = entry.code
            # Built-in functions are told as text: "<method 'recv' of '_socket.socket' objects>".
            name = code if isinstance(code, str) else f"{Path(code.co_filename).name}: {code.co_qualname}"
            calls[name] = calls.get(name, 0) + entry.callcount
        whole = Path(os.environ["COUNTED"] + ".part")
        whole.write_text(json.dumps({"messages": messages, "calls": calls}))
        whole.rename(os.environ["COUNTED"])


app.steps["worker"].add(Counter)
