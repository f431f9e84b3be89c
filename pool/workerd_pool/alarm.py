"""Alarm: the pool's one timer, set to the earliest moment at which anything is due.

Setting it later than it already stands costs one comparison, so a deadline per job costs no timer.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from workerd_pool.contract import Cancelable, Loop


class Alarm:
    """Calls ``ring(now)`` at or after the earliest time that ``at`` was given since the last ring."""

    def __init__(self, loop: Loop, clock: Callable[[], float], ring: Callable[[float], None]) -> None:
        self._loop, self._clock, self._ring = loop, clock, ring
        self.when = math.inf
        """The moment for which it is set."""
        self._timer: Cancelable | None = None

    def at(self, when: float) -> None:
        """Ring at ``when``, monotonic; inf for not at all."""
        if when >= self.when:
            return
        self.cancel()
        self.when = when
        self._timer = self._loop.call_later(max(0.0, when - self._clock()), self._fire)

    def cancel(self) -> None:
        """Do not ring."""
        self.when = math.inf
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _fire(self) -> None:
        self.when, self._timer = math.inf, None
        self._ring(self._clock())
