"""Headroom: how near a budget of memory all processes together have come, and what must stop.

Near it first no more work is fetched; nearer still no process is added.  Each is allowed again only
well below the mark at which it was stopped, so that one task more or less does not switch it.

Units:   bytes; shares of the budget; seconds of the monotonic clock.
Errors:  none.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from enum import IntEnum

import msgspec

from workerd_pool.cgroup import Cgroup
from workerd_pool.memory import EXACT_AGAIN, Meter, size_text

OF_A_GROUP = 0.9  # of a cgroup's limit is the budget where nobody names one
SLICE = 0.02  # seconds for exact readings in one call; the next call goes on


class Pressure(IntEnum):
    """What must not happen any more.  Each includes the one before it."""

    NONE = 0
    FETCHING = 1
    GROWTH = 2


RISES = {Pressure.FETCHING: 0.90, Pressure.GROWTH: 0.95}
FALLS = {Pressure.FETCHING: 0.80, Pressure.GROWTH: 0.90}


class Reading(msgspec.Struct, frozen=True):
    """``used`` of ``budget``; ``whose`` says it in words."""

    used: int
    budget: int
    whose: str

    def __str__(self) -> str:
        return f"{size_text(self.used)} of {size_text(self.budget)} are in use ({self.whose})"


class Headroom:
    """Judges readings, one after the other."""

    def __init__(self) -> None:
        self.pressure = Pressure.NONE

    def judge(self, reading: Reading | None) -> Pressure:
        """The pressure after this reading; without one it stays."""
        if reading is None:
            return self.pressure
        share = reading.used / reading.budget
        rising = [level for level, mark in RISES.items() if share >= mark]
        kept = [level for level, mark in FALLS.items() if share >= mark and level <= self.pressure]
        self.pressure = max([*rising, *kept], default=Pressure.NONE)
        return self.pressure


class Tally:
    """The memory of many processes together, by exact readings where the cheap ones come near."""

    def __init__(
        self,
        meter: Callable[[], Meter] = Meter,
        timer: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._new, self._timer = meter, timer
        self._meters: dict[int, Meter] = {}

    def read(self, pids: Iterable[int], near: int, now: float) -> int | None:
        """What they use; None when it may be ``near`` and not all of them could be read exactly yet."""
        self._meters = {pid: self._meters.get(pid) or self._new() for pid in pids}
        estimates = self._estimates()
        if sum(bound for bound, _ in estimates) < near:
            return sum(bound for bound, _ in estimates)
        self._refine(now)
        total = sum(corrected for _, corrected in self._estimates())
        unread = any(now - meter.exact_at > 2 * EXACT_AGAIN for meter in self._meters.values())
        return None if unread and total >= near else total

    def _estimates(self) -> list[tuple[int, int]]:
        return [meter.estimate(pid) for pid, meter in self._meters.items()]

    def _refine(self, now: float) -> None:
        end = self._timer() + SLICE
        for pid, meter in sorted(self._meters.items(), key=lambda item: item[1].exact_at):
            if now - meter.exact_at < EXACT_AGAIN or self._timer() >= end:
                return
            meter.refine(pid, now)


class MemoryBudget:
    """The tightest budget there is: the one that was named, else those of our cgroups.

    ``budget`` is in bytes, 0 for none; None takes ``OF_A_GROUP`` of each cgroup's limit, as it is then.
    """

    def __init__(self, budget: int | None, cgroup: Cgroup | None = None, tally: Tally | None = None) -> None:
        self.budget = budget
        self._cgroup, self._tally = cgroup or Cgroup.own(), tally or Tally()

    @property
    def possible(self) -> bool:
        """There may be a budget: one is named, or our cgroups may have limits."""
        return self.budget != 0 if self.budget is not None else bool(self._cgroup)

    def read(self, pids: Iterable[int], now: float) -> Reading | None:
        """Where we stand.  None: there is no budget, or not all processes could be read yet."""
        if self.budget:
            used = self._tally.read(pids, int(self.budget * FALLS[Pressure.FETCHING]), now)
            return None if used is None else Reading(used, self.budget, "memory_budget")
        if self.budget == 0:
            return None
        groups = [
            Reading(level.used, int(level.limit * OF_A_GROUP), f"cgroup {level.path}")
            for level in self._cgroup.limited()
            if level.limit
        ]
        return max(groups, key=lambda reading: reading.used / reading.budget, default=None)
