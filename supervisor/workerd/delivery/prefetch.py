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
        self._mean: float | None = None

    def record(self, runtime: float) -> None:
        """A task took ``runtime``; the last dozen or so count."""
        runtime = max(runtime, 1e-4)
        if self._mean is None:
            self._mean = runtime
        else:
            self._mean += (runtime - self._mean) / 8

    def waiting(self, slots: int) -> int:
        """Messages that should wait here for ``slots`` slots."""
        if self._mean is None:
            return 0
        count = slots * self.horizon / self._mean
        return 0 if count < 1 else min(ceil(count), self.limit)

    def room(self, *, slots: int, free: int, reserved: int, growth: int = 0) -> int:
        """Messages to ask for, with ``free`` slots empty and ``reserved`` messages waiting for one.

        ``growth`` is how many slots the pool may still add: demand for them must be seen to be met.
        """
        return max(free + max(self.waiting(slots), growth) - reserved, 0)
