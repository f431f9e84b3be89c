"""Deadlines of one child: what is due when, as plain numbers on the monotonic clock.

One object a child and one scan when the alarm rings; a job's limits cost two additions, no timer.
"""

from __future__ import annotations

import math

import msgspec

NEVER = math.inf
DUMP_GRACE = 1.0  # seconds that a process has to write its stacks before it is killed
DUMP_LEAD = 2.0  # seconds before the hard limit at which they are asked for, at most half of what is left
WAKE_AGAIN = 0.01, 1.0  # seconds until a child that has not read its INTERRUPT is woken again: first, longest


class Deadlines(msgspec.Struct):
    """``phase``: the boot phase or the leaving ends.  ``kill``: the stacks were asked for, kill now.

    ``dump``: the hard limit is near, so ask for the stacks of what hangs.
    ``cut``: a job that was told to end has had its time.  ``wake``: see whether an INTERRUPT was read,
    after a ``patience`` that grows.
    ``memory``: read how much it has; also while no limit is near.
    ``queue``: take back what waits behind a job that turned out long.
    """

    soft: float = NEVER
    hard: float = NEVER
    dump: float = NEVER
    phase: float = NEVER
    phase_name: str = ""
    kill: float = NEVER
    queue: float = NEVER
    cut: float = NEVER
    wake: float = NEVER
    memory: float = NEVER
    patience: float = 0.0

    def next(self) -> float:
        """The earliest of them."""
        job = min(self.soft, self.dump, self.hard, self.cut, self.wake, self.memory)
        return min(job, self.phase, self.kill, self.queue)

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

    def begin_job(self, begun: float, soft: float | None, hard: float | None) -> None:
        """A job runs since ``begun`` with these limits, or has got new ones."""
        self.soft = NEVER if soft is None else begun + soft
        self.hard = self.dump = NEVER
        if hard is not None and hard < NEVER:
            self.hard = begun + hard
            lead = (self.hard - (self.soft if self.soft < self.hard else begun)) / 2
            self.dump = self.hard - (lead if lead < DUMP_LEAD else DUMP_LEAD)

    def spare(self, now: float) -> None:
        """A limit that is over already, because it is new, leaves time for a last look at the stacks."""
        if self.hard < now + DUMP_GRACE:
            self.dump, self.hard = now, now + DUMP_GRACE

    def job_over(self) -> None:
        """No job runs any more."""
        self.soft = self.dump = self.hard = self.wake = NEVER
