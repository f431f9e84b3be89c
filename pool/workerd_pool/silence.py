"""Silence: children that do not read what they are given, because they are stopped, or hang.

A job that no child has read is nobody's yet.  A child that has the same one unread at two looks gets no more
until it is heard of, and what it has not read goes to others.  While no job is given, nobody looks.

Units:  seconds of the monotonic clock.
"""

from __future__ import annotations

from collections.abc import Set
from typing import TYPE_CHECKING

from workerd_pool.child_handle import ChildHandle
from workerd_pool.deadlines import NEVER

if TYPE_CHECKING:
    from workerd_pool.dispatcher import Dispatcher

PERIOD = 1.0  # between two looks: a child reads within a millisecond, on a busy machine within a tenth


class Silence:
    """One for a dispatcher.  ``due`` is when to look next."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self.due = NEVER
        self._dispatcher = dispatcher
        self._seen: dict[ChildHandle, int] = {}  # the job that each had to begin at the last look

    def begin(self, now: float) -> float:
        """A job was given; return when to look."""
        self.due = now + PERIOD
        return self.due

    def look(self, takers: Set[ChildHandle], now: float) -> bool:
        """Give no more to those that are silent; True if there are any.  ``due`` is set anew if need be."""
        before = self._seen
        self._seen = {child: next(iter(child.jobs)) for child in takers if child.jobs and not child.current}
        silent = [child for child, job_id in self._seen.items() if before.get(child) == job_id]
        for child in silent:
            del self._seen[child]
            self._dispatcher.release(child)
            child.fall_silent(now)
        self.due = now + PERIOD if self._seen else NEVER
        return bool(silent)

    def heard(self, child: ChildHandle) -> None:
        """This child was silent, and is not."""
        child.heard()
        if child.ready and not (child.set_aside or child.hushed):
            self._dispatcher.enlist(child)
