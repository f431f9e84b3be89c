"""Token buckets: how often something may begin.

A bucket fills with ``fill_rate`` tokens a second up to ``capacity``; who begins takes one.  With a capacity
of 1 what begins is spread evenly, and what was not used is not made up for.

Units:  seconds of the monotonic clock; tokens are counts, and may be fractions.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

SLACK = 0.01
"""Seconds by which a loop may be late with a turn: what that costs of the rate is made good by the next."""

ROUNDING = 1e-9
"""Tokens by which a sum of fractions may fall short of a whole one."""


class Bucket(Protocol):
    """What limits a task; a step may bring any algorithm that has these two."""

    def consume(self, tokens: float = 1, /) -> bool:
        """Take so many tokens if they are there; False, and nothing taken, if not."""

    def expected_time(self, tokens: float = 1, /) -> float:
        """Seconds until so many tokens will be there, 0 for now; takes nothing."""


class TokenBucket:
    """Fills with ``fill_rate`` tokens a second up to ``capacity``, and begins full.

    ``now`` reads the clock.  Errors: ValueError for a rate of 0 or less, or a capacity below 1.
    """

    def __init__(
        self, fill_rate: float, capacity: float = 1, now: Callable[[], float] = time.monotonic
    ) -> None:
        if fill_rate <= 0 or capacity < 1:
            raise ValueError(f"a bucket fills, and holds a token or more; not {fill_rate}, {capacity}")
        self.capacity, self._now = float(capacity), now
        self._fill_rate, self._tokens, self._at = float(fill_rate), self.capacity, now()
        self.contents: deque[Any] = deque()
        """What a step lets wait at this bucket; the daemon's own tasks do not wait here."""

    @property
    def fill_rate(self) -> float:
        """Tokens for each second; what is in the bucket stays when it changes."""
        return self._fill_rate

    @fill_rate.setter
    def fill_rate(self, rate: float) -> None:
        self._fill()
        self._fill_rate = float(rate)

    def consume(self, tokens: float = 1) -> bool:
        """Take so many tokens if they are there."""
        if self._fill() < tokens - ROUNDING:
            return False
        self._tokens -= tokens
        return True

    can_consume = consume
    """kombu's name for it."""

    def expected_time(self, tokens: float = 1) -> float:
        """Seconds until so many tokens will be there, if nobody takes any."""
        return max(tokens - self._fill(), 0.0) / self._fill_rate

    def add(self, item: Any) -> None:
        """``item`` waits, behind those that wait already."""
        self.contents.append(item)

    def pop(self) -> Any:
        """The one that has waited longest, which waits no more.  Errors: IndexError when none does."""
        return self.contents.popleft()

    def clear_pending(self) -> None:
        """Nothing waits any more."""
        self.contents.clear()

    def _fill(self) -> float:
        now = self._now()
        full = self.capacity + SLACK * self._fill_rate
        self._tokens, self._at = min(self._tokens + (now - self._at) * self._fill_rate, full), now
        return self._tokens

    def __repr__(self) -> str:
        return f"<TokenBucket: {self._fill_rate:g}/s>"
