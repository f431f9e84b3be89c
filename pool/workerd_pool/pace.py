"""Pace: how long jobs take on average, and so how many may wait in one child's socket.

Units:  seconds; counts of jobs.
"""

from __future__ import annotations

MAX_DEPTH = 16
HELD = 0.010  # seconds of work that may wait in one child's socket
PATIENCE = 0.100  # seconds that a job may run before what waits behind it is taken back
_WEIGHT = 0.1  # of the newest job in the average


class Pace:
    """``depth`` jobs may be at one child, the one that runs included."""

    def __init__(self) -> None:
        self.depth = 1
        self._average = PATIENCE  # pessimistic until measured

    def record(self, seconds: float) -> None:
        """One job took this long."""
        self._average += _WEIGHT * (seconds - self._average)
        self.depth = max(1, min(MAX_DEPTH, int(HELD / max(self._average, 1e-6))))
