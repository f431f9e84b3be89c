"""Clocks: the only ways to ask for the time, so that tests can move it by hand.

Units: seconds. ``now()`` is monotonic and for deadlines; ``wall()`` is the Unix epoch and for messages;
``boottime()`` is monotonic and for what others measure of us.  A ``LogicalClock`` has no units: it only
orders what several nodes do.
"""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """What a part that measures time is given."""

    def now(self) -> float:
        """Seconds of the monotonic clock."""

    def wall(self) -> float:
        """Seconds since the Unix epoch."""

    def boottime(self) -> float:
        """Seconds of a monotonic clock that goes on while the machine is suspended; no timer runs by it."""


class SystemClock:
    """The machine's clocks; those that are asked with each message without a frame of ours in between."""

    now = staticmethod(time.monotonic)
    wall = staticmethod(time.time)

    def boottime(self) -> float:
        return time.clock_gettime(time.CLOCK_BOOTTIME)


LARGEST = 2**53
"""A logical clock beyond this is nonsense, and would be everybody's from then on."""


class LogicalClock:
    """Lamport's clock: later than all that this process has done and heard of.  For one thread."""

    def __init__(self, value: int = 0) -> None:
        self.value = value

    def forward(self) -> int:
        """Something happens here; its time."""
        self.value += 1
        return self.value

    def adjust(self, other: object) -> int:
        """Something was heard of that happened at ``other``, by its node's clock; the time of hearing."""
        if isinstance(other, int) and self.value < other <= LARGEST:
            self.value = other
        return self.forward()

    def __repr__(self) -> str:
        return f"<LogicalClock: {self.value}>"
