"""Asking: one question at a time to a daemon that may not answer.

However many probes come, the daemon has one of them to answer: they share it.  A loop that is held up for a
moment, by a slow connect to a broker say, is no dead one; so for ``GRACE`` the last answer stands.

Units: seconds of the monotonic clock.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from workerd.errors import WorkerdError

Ask = Callable[[], Mapping[str, Any]]

WAIT = 1.0
"""For the answer of a daemon that is well: some milliseconds."""
GRACE = 8.0
"""Silence that a daemon may have; a connect may hold it up for five seconds."""
PAUSE = 0.5
"""After an error, before the next question."""


class Asking:
    """``ask`` is called in a thread of its own, never twice at a time."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._lock = threading.Condition()
        self._asking = False
        self._since: float | None = None
        self._answer: Mapping[str, Any] | None = None
        self._error = ""
        self._round = 0

    def answer(self, wait: float = WAIT) -> tuple[Mapping[str, Any] | None, str]:
        """The newest answer and nothing, or no answer (any more) and why not."""
        with self._lock:
            if not self._asking:
                self._begin()
            mine = self._round
            self._lock.wait_for(lambda: self._round != mine, wait)
            silent = time.monotonic() - self._since if self._since is not None else 0.0
            if self._answer is not None and silent < GRACE:
                return self._answer, ""
            return None, self._error or f"the daemon has not answered for {silent:.0f} s"

    def _begin(self) -> None:
        self._asking = True
        if self._since is None:
            self._since = time.monotonic()
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        try:
            found, error = self._ask(), ""
        except (WorkerdError, OSError, ValueError) as exc:
            found, error = None, str(exc)
        with self._lock:
            self._round += 1
            self._error = error
            if found is not None:
                self._answer, self._since = found, None
            self._lock.notify_all()
        if error:
            time.sleep(PAUSE)
        with self._lock:
            self._asking = False
