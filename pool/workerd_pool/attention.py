"""Attention: when the supervisor looks at what a child has written.

A frame that comes while the supervisor sleeps wakes it, and that costs the two of them more than the frame:
of 35 us a job, 11.  So a child that has much to do is left alone for a moment, and what it
writes meanwhile is read together.  A child that has little to do is heard at once.

Units:  seconds; counts of jobs; bytes.
"""

from __future__ import annotations

from collections.abc import Callable

from workerd_pool.child_handle import ChildHandle
from workerd_pool.contract import Loop

REST = 0.0005
"""How long it is left alone.  epoll sleeps for whole milliseconds, so it becomes one."""
MUCH = 64
"""Jobs that last it longer than that: the shortest take 15 us each."""
SMALL = 512
"""A frame; so many of these as come in that time fit into the socket, and nobody waits for room in it."""


class Attention:
    """For all children of a crew; ``read(child)`` is called when one is to be heard."""

    def __init__(self, loop: Loop, read: Callable[[ChildHandle], None]) -> None:
        self._loop, self._read = loop, read
        self._heard: set[ChildHandle] = set()

    def listen(self, child: ChildHandle) -> None:
        """Hear it."""
        self._heard.add(child)
        self._loop.add_reader(child.sockets.up.fileno(), self._read, child)

    def stop(self, child: ChildHandle) -> None:
        """Do not hear it."""
        if child in self._heard:
            self._heard.discard(child)
            self._loop.remove_reader(child.sockets.up.fileno())

    def rest(self, child: ChildHandle, frames: int) -> None:
        """Leave it alone for a moment if it can do without us; its last read brought so many frames."""
        busy = len(child.jobs) >= MUCH and child.outlet.at_rest
        if busy and child in self._heard and child.sockets.taken <= frames * SMALL:
            self.stop(child)
            self._loop.call_later(REST, self._again, child)

    def _again(self, child: ChildHandle) -> None:
        if not child.at_end:
            self.listen(child)
