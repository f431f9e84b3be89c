"""Clocks: the only two ways to ask for the time, so that tests can move it by hand.

Units: seconds. ``now()`` is monotonic and for deadlines; ``wall()`` is the Unix epoch and for messages.
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


class SystemClock:
    """The machine's clocks."""

    def now(self) -> float:
        return time.monotonic()

    def wall(self) -> float:
        return time.time()
