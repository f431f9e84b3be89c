"""Reloads: who waits for which generation, and what became of the last one.

Units: ``at`` is Unix time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

logger = logging.getLogger(__name__)

SHOWN = 10
"""Names of tasks in one line, at most."""

Done = Callable[[bool, str, str], None]


@dataclass(slots=True)
class Reloads:
    """The pool decides a generation's fate; this passes it on to those who asked.

    ``on_first()`` and ``on_end(ok)`` tell the life cycle.  ``on_first_failure(reason, traceback)`` is called
    when the first generation of a daemon fails, because then no old code goes on serving.
    """

    on_first: Callable[[], None]
    on_end: Callable[[bool], None]
    on_first_failure: Callable[[str, str], None]
    up: int = 0
    """The newest generation that came up; 0 before the first."""
    last: str = ""
    traceback: str = ""
    waiting: list[Done] = field(default_factory=list)
    """Those whose request the reload under way serves."""
    queued: list[Done] = field(default_factory=list)
    """Those who asked while one was under way: the next one serves them."""

    def ask(self, done: Done) -> None:
        """``done(ok, message, traceback)`` at the end of the reload that begins after this call."""
        self.queued.append(done)

    def begun(self) -> None:
        """A reload begins: it serves all who have asked so far."""
        self.waiting += self.queued
        self.queued = []

    def succeeded(self, generation: int, tasks: int, gone: Sequence[str] = ()) -> None:
        """``gone`` are the tasks that the generation before had and this one has not."""
        first, self.up = self.up == 0, generation
        self.last = f"generation {generation} serves, with {tasks} task{'s' * (tasks != 1)}"
        if gone:
            self.last += f"; no longer there: {_listed(gone)}"
        self.traceback = ""
        logger.info("%s: %s", "Pool up" if first else "Reloaded", self.last)
        if first:
            self.on_first()
        else:
            self._end(True)

    def failed(self, generation: int, reason: str, traceback: str) -> None:
        if self.up == 0:
            self.on_first_failure(reason, traceback)
            return
        self.last = f"generation {generation} failed: {reason}"
        self.traceback = traceback
        text = f"{reason}\n{traceback}".strip()
        logger.error("Reload failed, generation %d goes on serving: %s", self.up, text)
        self._end(False)

    def overtaken(self, by: str) -> None:
        """There will be no reload for those who wait; ``by`` says what came first."""
        waiting, self.waiting, self.queued = self.waiting + self.queued, [], []
        for done in waiting:
            done(False, f"no reload: {by}", "")

    def _end(self, ok: bool) -> None:
        waiting, self.waiting = self.waiting, []
        for done in waiting:
            done(ok, self.last, self.traceback)
        self.on_end(ok)


def _listed(names: Sequence[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")
