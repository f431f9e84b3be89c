"""Deadlines of one child: what is due when, as plain numbers on the monotonic clock.

One object a child and one scan when the alarm rings; a job's limits cost two additions, no timer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

NEVER = math.inf
DUMP_GRACE = 1.0  # seconds that a process has to write its stacks before it is killed
WAKE_AGAIN = 0.01, 1.0  # seconds until a child that has not read its INTERRUPT is woken again: first, longest


@dataclass(slots=True)
class Deadlines:
    """``phase``: the boot phase or the leaving ends.  ``kill``: the stacks were asked for, kill now.

    ``cut``: a job that was told to end has had its time.  ``wake``: see whether an INTERRUPT was read,
    after a ``patience`` that grows.
    ``queue``: take back what waits behind a job that turned out long.
    """

    soft: float = NEVER
    hard: float = NEVER
    phase: float = NEVER
    phase_name: str = ""
    kill: float = NEVER
    queue: float = NEVER
    cut: float = NEVER
    wake: float = NEVER
    patience: float = 0.0

    def next(self) -> float:
        """The earliest of them."""
        return min(self.soft, self.hard, self.phase, self.kill, self.queue, self.cut, self.wake)

    def wake_again(self, now: float, first: bool = False) -> None:
        """See later whether the INTERRUPT was read; each time after twice as long."""
        self.patience = WAKE_AGAIN[0] if first else min(2 * self.patience, WAKE_AGAIN[1])
        self.wake = now + self.patience

    def enter(self, name: str, ends: float) -> None:
        """A phase begins that must end before ``ends``."""
        self.phase_name, self.phase = name, ends

    def phase_over(self) -> None:
        """The phase ended in time."""
        self.phase, self.kill = NEVER, NEVER

    def job_over(self) -> None:
        """No job runs any more."""
        self.soft = self.hard = self.wake = NEVER
