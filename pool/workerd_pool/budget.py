"""RestartBudget: how fast deaths may be answered with new starts.

Up to ``limit`` deaths in ``window`` are replaced at once.  Over that the budget is *spent*: one
start at a time, after a delay that doubles from ``first_delay`` to ``max_delay``, until no death
has come for a whole window.  A death before the process was ready will most likely repeat, so it
is answered in the same way at once, until a process comes up: six starts in the first minute.

Units:   seconds of the monotonic clock; counts of deaths.
Source:  intensity and period of OTP's supervisor; the delay before ready is s6's.
"""

from __future__ import annotations

import math
from collections import deque

UNLIMITED = 1_000_000


class RestartBudget:
    """Keeps the deaths that were nobody's wish; recycling and limits are not told to it."""

    def __init__(
        self, limit: int = 5, window: float = 60.0, first_delay: float = 1.0, max_delay: float = 30.0
    ) -> None:
        if max_delay >= window:
            raise ValueError("a delay of a whole window would look like health")
        self.limit, self.window = limit, window
        self.first_delay, self.max_delay = first_delay, max_delay
        self._deaths: deque[float] = deque()  # oldest first
        self._spent = ""
        self._failing = ""
        self._failures = 0  # starts in a row that came to nothing
        self._streak = 0  # of delays
        self._retry_at = -math.inf

    @property
    def reason(self) -> str | None:
        """Why starts are slowed down, for the operator; None when they are not."""
        # What does not start has spent the budget too, and that it does not start says more.
        return self._failing or self._spent or None

    def died(self, now: float, cause: str, *, ready: bool) -> None:
        """Record one death; ``cause`` is for the operator."""
        self.refresh(now)
        self._deaths.append(now)
        if not ready:
            self._failures += 1
            times = "a start" if self._failures == 1 else f"{self._failures} starts in a row"
            self._failing = f"{times} failed, the last: {cause}"
        if len(self._deaths) > self.limit:
            self._spent = f"{self._counted(now)}, the last: {cause}"
        # What dies while starts are put off is part of the same trouble, and makes the wait no longer.
        if self.reason is not None and now >= self._retry_at:
            delay = min(self.first_delay * 2**self._streak, self.max_delay)
            self._streak = min(self._streak + 1, 32)
            self._retry_at = now + delay

    def _counted(self, now: float) -> str:
        # While spent the deaths before the window count as well; that they came within it would be no fact.
        within = self._deaths[0] > now - self.window
        when = f"within {self.window:g}s" if within else f"with less than {self.window:g}s between them"
        return f"{len(self._deaths)} deaths {when}"

    def came_up(self) -> None:
        """A process has become ready: starts do not fail any more."""
        self._failing, self._failures = "", 0
        if not self._spent:
            self._streak, self._retry_at = 0, -math.inf

    def allowed(self, now: float, starting: int) -> int:
        """How many starts may be made now, while ``starting`` processes are not ready yet."""
        self.refresh(now)
        if now < self._retry_at:
            return 0
        if self.reason is None:
            return UNLIMITED
        return 0 if starting else 1

    def next_change(self, now: float) -> float:
        """When the answer of ``allowed`` or the reason may change; inf for never."""
        times = [self._retry_at] if self._retry_at > now else []
        if self._spent and self._deaths:
            times.append(self._deaths[-1] + self.window)
        return min(times, default=math.inf)

    def refresh(self, now: float) -> None:
        """Forget deaths that are older than the window, all at once when the last one is."""
        if self._deaths and self._deaths[-1] <= now - self.window:
            self._deaths.clear()
            self._streak, self._spent = 0, ""
        # While spent the old deaths stay counted: health is a whole window without any.
        while not self._spent and self._deaths and self._deaths[0] <= now - self.window:
            self._deaths.popleft()
