"""Pace: how long jobs take on average, and so how many may wait in one child's socket.

Units:  seconds; counts of jobs.
"""

from __future__ import annotations

MAX_DEPTH = 512
MAX_LARGE = 16  # jobs whose frames travel by memfd: each holds a descriptor and its memory
HELD = 0.010  # seconds of work that may wait in one child's socket
PATIENCE = 0.100  # seconds that a job may run before what waits behind it is taken back
_DEEPEST = HELD / MAX_DEPTH
_WEIGHT = 0.1  # of the newest job in the average
_SUDDEN = 10.0  # times the average; what took longer, yet less than HELD, is counted with this


class Pace:
    """``depth`` jobs may be at one child, the one that runs included."""

    def __init__(self) -> None:
        self.depth = 1
        self._average = PATIENCE  # pessimistic until measured

    def record(self, seconds: float) -> None:
        """One job took this long."""
        average = self._average
        if average * _SUDDEN < seconds < HELD:
            # More likely it had to wait for a core than that jobs have become so much longer at once.
            seconds = average * _SUDDEN
        self._average = average + _WEIGHT * (seconds - average)
        # Without min and max, which cost more than the rest: this comes with every job.
        if self._average < _DEEPEST:
            self.depth = MAX_DEPTH
        else:
            self.depth = int(HELD / self._average) or 1
