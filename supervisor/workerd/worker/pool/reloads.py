"""Reloads: who waits for which generation, and what became of the last one.

A request is served by the reload that begins after it.  It is told when the new code serves and has replaced
every older child that had nothing to do; with ``whole`` only when no older child is left.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import msgspec

logger = logging.getLogger(__name__)

SHOWN = 10
"""Names of tasks in one line, at most."""

Done = Callable[[bool, str, str], None]


class Change(msgspec.Struct, frozen=True):
    """What a generation brings: how many ``tasks``, which of the one before are ``gone``, and what of the app
    the supervisor goes on to have as it was until a ``restart``."""

    tasks: int
    gone: Sequence[str] = ()
    restart: Sequence[str] = ()

    def words(self) -> str:
        """For people, in one line."""
        text = f"with {self.tasks} task{'s' * (self.tasks != 1)}"
        if self.gone:
            text += f"; no longer there: {_listed(self.gone)}"
        if self.restart:
            text += f"; in force only after `workerd restart`: {_listed(self.restart)}"
        return text


class Asker(msgspec.Struct, frozen=True):
    """Somebody who waits for a reload; ``whole``: until it is complete."""

    done: Done
    whole: bool


class Reloads(msgspec.Struct):
    """The pools decide a generation's fate; this passes it on to those who asked.

    ``on_first()`` and ``on_end(ok)`` tell the life cycle.  ``on_first_failure(reason, traceback)`` is called
    when the code of a daemon's first generation cannot be used, because then no old code goes on serving.
    """

    on_first: Callable[[], None]
    on_end: Callable[[bool], None]
    on_first_failure: Callable[[str, str], None]
    up: int = 0
    """The generation that serves; 0 before the first."""
    newest: int = 1
    """The generation that was begun last."""
    last: str = ""
    traceback: str = ""
    waiting: list[Asker] = msgspec.field(default_factory=list)
    """Those whom the reload under way serves."""
    queued: list[Asker] = msgspec.field(default_factory=list)
    """Those who asked while one was under way: the next one serves them."""
    lingering: list[Asker] = msgspec.field(default_factory=list)
    """Those who wait until no older child is left."""

    def ask(self, done: Done, *, whole: bool = False) -> None:
        """``done(ok, message, traceback)`` at the end of the reload that begins after this call."""
        self.queued.append(Asker(done, whole))

    def begun(self, generation: int) -> None:
        """A reload begins: it serves all who have asked so far."""
        self.newest = generation
        self.waiting += self.queued
        self.queued = []
        logger.info("Reloading: generation %d", generation)

    @property
    def asked_whole(self) -> bool:
        """Somebody waits for the end of the last older child, or will."""
        return bool(self.lingering) or any(asker.whole for asker in (*self.waiting, *self.queued))

    # -- what the pools tell

    def came_up(self, generation: int, change: Change) -> None:
        """It serves in every pool."""
        first, self.up = self.up == 0, generation
        self.last = f"generation {generation} serves, {change.words()}"
        self.traceback = ""
        logger.info("%s: %s", "Pool up" if first else "New code", self.last)
        if change.restart:
            logger.warning("Changed, and in force only after a restart: %s", _listed(change.restart))
        if first:
            self.on_first()

    def settled(self, generation: int) -> None:
        """It has replaced every older child that has nothing to do."""
        if generation != self.newest:
            return
        waiting, self.waiting = self.waiting, []
        for asker in waiting:
            if asker.whole:
                self.lingering.append(asker)
            else:
                asker.done(True, self.last, "")
        if generation > 1:
            logger.info("Reloaded: %s", self.last)
            self.on_end(True)

    def complete(self, generation: int) -> None:
        """No older child is left."""
        lingering, self.lingering = self.lingering, []
        for asker in lingering:
            asker.done(True, f"{self.last}; no older child is left", "")
        if generation > 1:
            logger.info("Generation %d is alone: no older child is left", generation)

    def failed(self, generation: int, reason: str, traceback: str, serves: int) -> None:
        """It is dropped, and generation ``serves`` goes on, 0 for none."""
        if not serves and self.newest == 1:
            self.on_first_failure(reason, traceback)
            return
        was_up, self.up = self.up == generation, serves
        self.last, self.traceback = f"generation {generation} failed: {reason}", traceback
        code = "the old code goes on serving" if serves else "nothing serves yet"
        goes_on = f"generation {serves} {'serves again' if was_up else 'goes on serving'}" if serves else code
        logger.error("Reload failed, %s: %s", goes_on, f"{reason}\n{traceback}".strip())
        if was_up:
            self._tell_failure(self.lingering, code)
        if generation == self.newest:
            self._tell_failure(self.waiting, code)
            self.on_end(False)

    def overtaken(self, by: str) -> None:
        """There will be no reload for those who wait; ``by`` says what came first."""
        waiting = self.waiting + self.queued + self.lingering
        self.waiting, self.queued, self.lingering = [], [], []
        for asker in waiting:
            asker.done(False, f"no reload: {by}", "")

    def _tell_failure(self, askers: list[Asker], code: str) -> None:
        told = list(askers)
        askers.clear()
        for asker in told:
            asker.done(False, f"{self.last}; {code}", self.traceback)


def _listed(names: Sequence[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")
