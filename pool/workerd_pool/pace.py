"""Pace: how long jobs take on average, and so how many may wait in one child's socket.

Units:  seconds; counts of jobs.
"""

from __future__ import annotations

MAX_DEPTH = 128
MAX_LARGE = 16  # jobs whose frames travel by memfd: each holds a descriptor and its memory
HELD = 0.010  # seconds of work that may wait in one child's socket
PATIENCE = 0.100  # seconds that a job may run before what waits behind it is taken back
_DEEPEST = HELD / MAX_DEPTH
_WEIGHT = 0.1  # of the newest job in the average


class Pace:
    """``depth`` jobs may be at one child, the one that runs included."""

    def __init__(self) -> None:
        self.depth = 1
        self._average = PATIENCE  # pessimistic until measured

    def record(self, seconds: float) -> None:
        """One job took this long."""
        self._average += _WEIGHT * (seconds - self._average)
        # Without min and max, which cost more than the rest: this comes with every job.
        if self._average < _DEEPEST:
            self.depth = MAX_DEPTH
        else:
            self.depth = int(HELD / self._average) or 1
