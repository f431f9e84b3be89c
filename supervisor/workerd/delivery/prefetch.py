"""Prefetch: hold about as much work as the slots will start within the next moment.

Too little and slots wait for the broker; too much and work waits here while other nodes are idle.
The measure is the time that tasks take: for long tasks it comes down to the free slots alone.

Units: seconds; counts of messages.
Source: Little's law, waiting = rate x horizon, with rate = slots / mean runtime.
"""

from __future__ import annotations

from math import ceil

HORIZON = 0.1
"""Seconds of work that may wait here."""

LIMIT = 256
"""Messages that may wait here at most, however short the tasks are."""


class Prefetch:
    """How many messages more this node should ask for."""

    def __init__(self, horizon: float = HORIZON, limit: int = LIMIT) -> None:
        self.horizon, self.limit = horizon, limit
        self.per_slot: float | None = None
        """Messages that may wait for each slot at most; None for any number up to ``limit``."""
        self.mean: float | None = None
        """Seconds that a task takes; None before one has ended.  The last dozen or so count."""
        self.spent, self.ended = 0.0, 0
        """Seconds of all tasks that have ended, and how many they are."""

    def record(self, runtime: float) -> None:
        """A task took ``runtime``."""
        runtime = max(runtime, 1e-4)
        self.spent, self.ended = self.spent + runtime, self.ended + 1
        if self.mean is None:
            self.mean = runtime
        else:
            self.mean += (runtime - self.mean) / 8

    def waiting(self, slots: int) -> int:
        """Messages that should wait here for ``slots`` slots."""
        if self.mean is None:
            return 0
        count = slots * self.horizon / self.mean
        most = self.limit if self.per_slot is None else min(int(slots * self.per_slot), self.limit)
        return 0 if count < 1 else min(ceil(count), most)

    def room(self, *, slots: int, free: int, reserved: int) -> int:
        """Messages to ask for, with ``free`` slots empty and ``reserved`` messages waiting for one."""
        return max(free + self.waiting(slots) - reserved, 0)
