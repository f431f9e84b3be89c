"""How long to wait before a server is started again."""

from __future__ import annotations

from collections import deque


class Backoff:
    """A restart budget: ``limit`` ends within ``window`` seconds, each waited for longer than the last.

    Over the budget the server is still tried again, every ``longest`` seconds, and ``spent`` is True.
    """

    def __init__(self, limit: int = 5, window: float = 60.0, longest: float = 10.0) -> None:
        self.limit, self.window, self.longest = limit, window, longest
        self._ends: deque[float] = deque()

    def ended(self, now: float) -> float:
        """Record an end at ``now``; seconds until the next start."""
        self._ends.append(now)
        while self._ends[0] < now - self.window:
            self._ends.popleft()
        if self.spent:
            return self.longest
        recent = len(self._ends) - 1
        return min(0.2 * 2 ** (recent - 1), self.longest) if recent else 0.0

    @property
    def spent(self) -> bool:
        return len(self._ends) > self.limit
