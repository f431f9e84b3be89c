"""How many slots a pool should have: the autoscaler's mind.  Pure; it is given the time.

The measure is the *estimated wait*: what waits, here and at the broker, times the time that a task takes,
divided by the slots.  A pool grows at once to as many slots as bring it down to the goal, and never to more
than there are tasks.  It shrinks to what was needed at most within the last ``window``, so that a pause in a
burst does not pay for retiring slots and starting them again, and never below what runs.

Units:   seconds of the monotonic clock; all else are counts.
Source:  Little's law; the window is the scale-down stabilisation window of Kubernetes' HPA.
"""

from __future__ import annotations

from collections import deque
from math import ceil

import msgspec

SPAN = 10.0
"""Seconds over which the use of slots and the time of tasks are measured."""

ENOUGH = 16
"""Tasks that ended within the span, from which their mean tells more than that of the last dozen."""

FULL = 0.8
"""Share of its slots that a pool may use before it shrinks no further: room for what comes unevenly."""

NOISE = 0.05
"""Share of the use of long tasks that is no use of others: ages are not read at the very time of the look."""


class Sight(msgspec.Struct, frozen=True):
    """One pool as it is now."""

    now: float
    wanted: int
    busy: int
    waiting: int
    """Messages here that wait for a slot."""
    backlog: int | None
    """Messages at the broker, in the pool's queues; None when that is not known."""
    task_time: float | None
    """Seconds that a task takes; None before one has ended."""
    use: float
    """Slots that were busy since the last look, on an average."""
    long: int
    """Slots that have had the same task since the last look."""
    held: str = ""
    """Why the pool must not grow; empty when it may."""

    @property
    def ahead(self) -> int:
        """Messages that wait, wherever they are."""
        return self.waiting + (self.backlog or 0)

    @property
    def used(self) -> int:
        """Slots that are worth keeping for their use alone; a long task needs no room beside its own."""
        others = max(self.use - self.long * (1 + NOISE), 0.0)
        return max(self.long + ceil(others / FULL), 1) if self.use else 0


class Decision(msgspec.Struct, frozen=True):
    """``target`` slots, for a ``reason`` in words; ``wait`` is the estimate, None when it is not known."""

    target: int
    reason: str
    wait: float | None
    held: bool = False
    """It would have grown."""


class Peak:
    """The highest value of the last ``window`` seconds."""

    def __init__(self, window: float) -> None:
        self.window = window
        self._seen: deque[tuple[float, int]] = deque()  # (when, value), values falling
        self._since: float | None = None

    def record(self, now: float, value: int) -> int | None:
        """Note the value at ``now``; return the highest, None while less than a whole window was seen."""
        if self._since is None:
            self._since = now
        while self._seen and self._seen[-1][1] <= value:
            self._seen.pop()
        self._seen.append((now, value))
        while self._seen[0][0] < now - self.window:
            self._seen.popleft()
        return self._seen[0][1] if now - self._since > self.window else None

    def forget(self) -> None:
        """The next window begins with the next value."""
        self._seen.clear()
        self._since = None


class Use:
    """How much the slots are used and how long tasks take, from two running totals."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, float, int]] = deque()  # those of the last SPAN seconds

    def record(self, now: float, spent: float, ended: int) -> None:
        """``spent``: seconds that all tasks have run so far, ended or not; ``ended``: how many have."""
        self._seen.append((now, spent, ended))
        while len(self._seen) > 2 and self._seen[1][0] <= now - SPAN:
            self._seen.popleft()

    @property
    def slots(self) -> float:
        """Slots in use, on an average since the record before the last."""
        elapsed, spent, _ = self._since(-2)
        return spent / elapsed if elapsed > 0 else 0.0

    def task_time(self, mean: float | None) -> float | None:
        """The seconds that a task takes, where the last dozen took ``mean``; None before one has ended.

        Slots that are all taken by long tasks are seen before any of those has ended: few endings for the
        time that was spent.
        """
        if mean is None:
            return None
        _, spent, ended = self._since(0)
        if ended >= ENOUGH:
            return spent / ended
        return max(mean, spent / max(ended, 1))

    def _since(self, index: int) -> tuple[float, float, int]:
        """What has passed since that record."""
        if len(self._seen) < 2:
            return 0.0, 0.0, 0
        (now, spent, ended), (then, spent_then, ended_then) = self._seen[-1], self._seen[index]
        # A run that was killed takes its time with it.
        return now - then, max(spent - spent_then, 0.0), ended - ended_then


class Policy:
    """Decides for one pool; ``max_wait`` is the goal.  It remembers what was needed within the window."""

    def __init__(self, max_wait: float = 1.0, window: float = 30.0) -> None:
        self.max_wait, self.window = max_wait, window
        self._peak = Peak(window)

    def forget(self) -> None:
        """Begin anew: nothing shrinks for a whole window."""
        self._peak.forget()

    def decide(self, sight: Sight, bounds: tuple[int, int]) -> Decision:
        """The number of slots that ``sight`` calls for, within (lower, upper)."""
        lower, upper = bounds
        wanted = min(max(sight.wanted, lower), upper)
        needed, wait = self._needed(sight), _wait(sight, wanted)
        # What is used is a reason to keep slots, never to add some.
        peak = self._peak.record(sight.now, max(needed, min(sight.used, wanted)))
        if needed > wanted:
            return self._more(sight, wanted, min(needed, upper), wait)
        kept = wanted if peak is None else min(wanted, max(peak, sight.busy, lower))
        if kept == wanted:
            return Decision(wanted, self._steady(sight, wait), wait)
        enough = "idle" if peak == 0 else f"{kept} slot{'s were' if kept > 1 else ' was'} enough"
        return Decision(kept, f"{enough} for {self.window:g} s", wait)

    def _needed(self, sight: Sight) -> int:
        """Slots with which nothing waits longer than the goal; no more than there are tasks for."""
        most = sight.busy + sight.ahead if sight.ahead else 0
        if sight.task_time is None:
            return most
        return min(ceil(sight.ahead * sight.task_time / self.max_wait), most)

    def _more(self, sight: Sight, wanted: int, target: int, wait: float | None) -> Decision:
        why = f"{sight.ahead} waiting, and no task has ended yet"
        if wait is not None:
            why = f"est. wait {wait:.1f} s over {self.max_wait:g} s with {sight.ahead} waiting"
        if target == wanted:
            return Decision(wanted, f"at its upper end; {why}", wait)
        if sight.held:
            return Decision(wanted, f"held: {sight.held}; {why}", wait, held=True)
        return Decision(target, why, wait)

    def _steady(self, sight: Sight, wait: float | None) -> str:
        if sight.ahead and wait is not None:
            return f"est. wait {wait:.1f} s within {self.max_wait:g} s with {sight.ahead} waiting"
        return f"{sight.use:.1f} slots in use" if sight.busy else "idle"


def _wait(sight: Sight, slots: int) -> float | None:
    """Seconds until the last message that waits now begins, with so many slots."""
    if sight.busy + sight.ahead <= slots:
        return 0.0
    return None if sight.task_time is None else sight.ahead * sight.task_time / slots
