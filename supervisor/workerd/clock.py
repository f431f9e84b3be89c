"""Clocks: the only ways to ask for the time, so that tests can move it by hand.

Units: seconds. ``now()`` is monotonic and for deadlines; ``wall()`` is the Unix epoch and for messages;
``boottime()`` is monotonic and for what others measure of us.
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
    """The machine's clocks."""

    def now(self) -> float:
        return time.monotonic()

    def wall(self) -> float:
        return time.time()

    def boottime(self) -> float:
        return time.clock_gettime(time.CLOCK_BOOTTIME)
