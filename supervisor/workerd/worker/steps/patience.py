"""Patience with the hooks of added steps: no stop waits for one that does not return.

Units: seconds.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from workerd.worker.life.stop_time import Part

if TYPE_CHECKING:
    from workerd.worker.controller import WorkController

PATIENCE = 5.0
"""For each hook on the way down, as long as the stop's own deadline leaves it."""

STARTS = frozenset({"start", "register_with_event_loop"})


class Patience:
    """Called with a hook's name; what it returns is entered around that hook."""

    def __init__(self, worker: WorkController) -> None:
        self._worker = worker

    def __call__(self, hook: str) -> AbstractContextManager[Any]:
        """A start ends when a stop is asked for; all others after some seconds, with a TimeoutError."""
        if hook in STARTS:
            return self._worker.inbox.interruptible(waits=False)
        seconds = self._worker.stop_time.left(PATIENCE, Part.ANSWERS)
        return self._worker.inbox.bounded(seconds, f"not over after {seconds:.2g} seconds, and left")
