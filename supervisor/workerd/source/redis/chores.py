"""Chores: what is done again and again over one link, with as few writes as can be.

Each has a pace, and is never done later than that.  An idle source has a round each second anyway; what
would be due before the next one is done in it, and goes out in the same write.

Units:  seconds.
"""

from __future__ import annotations

from collections.abc import Callable

from workerd.clock import Clock
from workerd.transport.loop import Cancelable, Loop

AHEAD = 1.1
"""How much earlier than due: the longest time between two rounds of an idle source."""


class Chores:
    """``flush`` is called in each round; without one, what is due is done all the same."""

    def __init__(self, loop: Loop, clock: Clock) -> None:
        self._loop, self._clock = loop, clock
        self._all: list[_Chore] = []
        self._soonest = 0.0

    def every(self, pace: float, work: Callable[[], object]) -> None:
        """Do ``work`` each ``pace`` seconds at the latest, from now on."""
        self._all.append(chore := _Chore(pace, work))
        self._later(chore)

    def stop(self) -> None:
        """May be called twice."""
        for chore in self._all:
            if chore.timer is not None:
                chore.timer.cancel()
        self._all.clear()

    def flush(self) -> None:
        """A round has come: do what can be done in it."""
        now = self._clock.now()
        if now < self._soonest:
            return
        for chore in [each for each in self._all if each.ready <= now]:
            if self._all:  # one of them may have found that the link is of no use
                self._do(chore)

    def _do(self, chore: _Chore) -> None:
        self._later(chore)
        chore.work()

    def _later(self, chore: _Chore) -> None:
        if chore.timer is not None:
            chore.timer.cancel()
        chore.timer = self._loop.call_later(chore.pace, self._do, chore)
        # At its half at the earliest: with a short lease a round in between does not need it.
        chore.ready = self._clock.now() + max(chore.pace - AHEAD, chore.pace / 2)
        self._soonest = min(each.ready for each in self._all)


class _Chore:
    """One of them; ``ready`` is from when on a round does it."""

    __slots__ = ("pace", "ready", "timer", "work")

    def __init__(self, pace: float, work: Callable[[], object]) -> None:
        self.pace, self.work, self.ready = pace, work, 0.0
        self.timer: Cancelable | None = None
