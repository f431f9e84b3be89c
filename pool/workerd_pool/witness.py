"""OomWitness: was a SIGKILL that nobody here sent the kernel's, for want of memory?

The kernel counts an OOM kill before it sends the signal, so a death that it caused finds the count
raised.  Each kill explains one death, and only for ``FRESH`` seconds after it was seen: a sub-process
of a task that was killed an hour ago does not explain an operator's ``kill -9`` of today.

Units:  seconds of the monotonic clock; counts of kills.
"""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Callable, Mapping

from workerd_pool.cgroup import Cgroup
from workerd_pool.memory import size_text

FRESH = 10.0  # the exit of a process with much memory takes seconds


class OomWitness:
    """Looks at the kernel's count when something dies, starts, or is measured; never by itself."""

    def __init__(self, cgroup: Cgroup, clock: Callable[[], float]) -> None:
        self._cgroup, self._clock = cgroup, clock
        self._last = cgroup.ooms()
        self._unexplained: deque[tuple[float, str]] = deque()  # (seen at, what happened), oldest first

    def look(self) -> None:
        """Take note of what the kernel has killed since the last look."""
        now, count = self._clock(), self._cgroup.ooms()
        if new := max(0, count.kills - self._last.kills):
            self._unexplained.extend([(now, self._words(count.full))] * new)
        self._last = count
        while self._unexplained and self._unexplained[0][0] < now - FRESH:
            self._unexplained.popleft()

    def explain(self, status: int | None) -> str:
        """The cause of a death that nobody here has caused; empty if it was not the kernel either."""
        if status is None or not os.WIFSIGNALED(status) or os.WTERMSIG(status) != signal.SIGKILL:
            return ""
        self.look()
        return self._unexplained.popleft()[1] if self._unexplained else ""

    def _words(self, full: Mapping[str, int]) -> str:
        if not full:
            return "out of memory: probably killed by the kernel, which killed a process at that time"
        before = self._last.full
        grown = [path for path, count in full.items() if count > before.get(path, 0)]
        if not grown:
            # A container does not see the groups around it.
            return "out of memory: killed by the kernel, for the machine or a cgroup that is not seen here"
        limit = self._cgroup.limit_of(grown[0])
        size = "" if limit is None else f" of {size_text(limit)}"
        return f"out of memory: killed by the kernel, cgroup {grown[0]} was at its limit{size}"
