"""How long who waits for a result tries a server that does not answer.

Units: seconds; deadlines are those of the monotonic clock.
"""

from __future__ import annotations

import time

# How long a server that never answered is tried, and one that did.
FIRST_PATIENCE, PATIENCE = 1.0, 60.0


class Outage:
    """How long the server has not answered, and whether to try once more."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._pause = 0.0
        self._patience = FIRST_PATIENCE

    def over(self) -> None:
        """The server has answered."""
        self._since, self._pause, self._patience = None, 0.0, PATIENCE

    def wait(self, deadline: float | None) -> bool:
        """Sleep before the next try; False when patience, or the time until ``deadline``, is at its end."""
        now = time.monotonic()
        if deadline is not None and now >= deadline:
            return False
        self._since = now if self._since is None else self._since
        if now - self._since >= self._patience:
            return False
        self._pause = min(max(self._pause * 2, 0.05), 1.0)
        time.sleep(self._pause if deadline is None else max(min(self._pause, deadline - now), 0.0))
        return True
