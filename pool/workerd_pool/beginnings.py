"""Beginnings: whether a child that waited for a job has read it.

The child does not say so.  A frame at the beginning of a job wakes the supervisor, which then takes a core
from the very job: on two cores that was a tenth of the time until its first line.  The supervisor has the
other end of the child's socket and can see there what is unread.  It looks ``SOON`` after the job was given,
and at once where anything depends on it; a job that ends before that has begun, and needs no look.

A child has begun the first of its jobs, or is about to: of those behind it the DONE before each tells.

Units:  seconds of the monotonic clock.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from workerd_pool import frames
from workerd_pool.alarm import Alarm
from workerd_pool.frames import Kind

if TYPE_CHECKING:
    from workerd_pool.child_handle import ChildHandle
    from workerd_pool.contract import Loop

SOON = 0.02
"""Most jobs are over by then; limits, status and events are late by that at most."""

_BEFORE = frozenset({int(Kind.PING), frames.RUN | frames.BY_MEMFD})
"""What may be unread in front of a child's first job: a ping, or the rest of a large one."""


class Beginnings:
    """``begun(child, job id, since, now)`` is called once for each job that has begun."""

    def __init__(self, begun: Callable[[ChildHandle, int, float, float], None]) -> None:
        self._begun = begun
        self._alarm: Alarm | None = None
        self.on_begun: Callable[[ChildHandle], None] = lambda child: None
        """Called when a look has found one."""
        self._expected: dict[ChildHandle, float] = {}  # when each certainly had not begun

    def start(self, loop: Loop, clock: Callable[[], float]) -> None:
        """Look by itself from now on."""
        self._alarm = Alarm(loop, clock, self._ring)

    def expect(self, child: ChildHandle, now: float) -> None:
        """It runs nothing, and was given a job."""
        self._expected[child] = now
        if self._alarm is not None:
            self._alarm.at(now + SOON)

    def over(self, child: ChildHandle, job_id: int, now: float) -> None:
        """Its first job is over; so it had begun."""
        since = self._expected.pop(child, now)
        if not self._expected and self._alarm is not None:
            self._alarm.cancel()
        self._begun(child, job_id, since, now)

    def look(self, now: float) -> None:
        """See which of those that are expected have begun."""
        for child in list(self._expected):
            self.look_at(child, now)

    def look_at(self, child: ChildHandle, now: float) -> None:
        """See whether this one has begun its first job."""
        if child not in self._expected:
            return
        first = next(iter(child.jobs), None)
        if first is None or child.current is not None:
            del self._expected[child]
        elif _is_unread(child, first):
            self._expected[child] = now
        else:
            self._begun(child, first, self._expected.pop(child), now)
            self.on_begun(child)

    def _ring(self, now: float) -> None:
        self.look(now)
        if self._expected and self._alarm is not None:
            self._alarm.at(now + SOON)


def _is_unread(child: ChildHandle, job_id: int) -> bool:
    front = child.sockets.front()
    if front is None:
        return False
    kind, header = front
    if kind == frames.RUN:
        return bool(frames.decode(header)[0] == job_id)
    return kind in _BEFORE or (kind == frames.LARGE and frames.decode(header) == job_id)
