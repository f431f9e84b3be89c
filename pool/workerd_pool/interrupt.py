"""Interrupt: the soft limit, in the child.

The parent wakes the child by one real-time signal; the handler looks at the child's own deadline
before it raises, so a signal that comes late cannot hit the next job.  It acts between bytecodes
of the main thread; C code that does not return is the hard limit's.

Units:  seconds; deadlines on the monotonic clock.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any

from billiard.exceptions import SoftTimeLimitExceeded


class Interrupt:
    """Armed for one job at a time; raises SoftTimeLimitExceeded at most once for each."""

    def __init__(self) -> None:
        self._deadline = math.inf
        self._held = 0
        self._due = False
        self._outside: set[CodeType] = {Interrupt.arm.__code__, Interrupt.disarm.__code__}

    def not_in(self, function: Callable[..., Any]) -> None:
        """Never raise while ``function``'s own frame is the running one: the job is over there."""
        self._outside.add(function.__code__)

    def arm(self, limit: float | None) -> None:
        """A job with this soft limit begins."""
        self._due = False
        self._deadline = math.inf if limit is None else time.monotonic() + limit

    def disarm(self) -> None:
        """The job is over."""
        self._deadline = math.inf
        self._due = False

    def __enter__(self) -> None:
        """Raise nothing inside; what came meanwhile is raised at the end (half a frame must not be sent)."""
        self._held += 1

    def __exit__(self, *exc: object) -> None:
        self._held -= 1
        if self._due and not self._held:
            self._due = False
            if exc[0] is None:
                raise SoftTimeLimitExceeded()

    def on_signal(self, signum: int, frame: FrameType | None) -> None:
        """The handler of WAKE."""
        if time.monotonic() < self._deadline or (frame is not None and frame.f_code in self._outside):
            return
        self._deadline = math.inf
        if self._held:
            self._due = True
            return
        raise SoftTimeLimitExceeded()
