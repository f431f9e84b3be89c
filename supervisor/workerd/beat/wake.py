"""How a beat sleeps: until a time, a signal, or something to read.

A handler sets a flag and wakes; nothing else happens in it.
"""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterable
from contextlib import suppress
from types import FrameType


class Wake:
    """``asked`` once a stop has been asked for, by one of ``signals`` or the end of ``until``."""

    def __init__(self, signals: Iterable[signal.Signals] = (), until: int | None = None) -> None:
        self.asked = False
        self._until = until
        self._read, self._write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        for signum in signals:
            signal.signal(signum, self._heard)

    def sleep(self, seconds: float, also: int | None = None) -> None:
        """At most ``seconds``; less when ``also``, a descriptor, can be read."""
        if self.asked:
            return
        watched = [fd for fd in (self._read, self._until, also) if fd is not None and fd >= 0]
        poller = select.poll()
        for fd in watched:
            poller.register(fd, select.POLLIN)
        ready = [fd for fd, _ in poller.poll(max(seconds, 0.0) * 1000.0)]
        if self._until in ready:
            self._ended()
        with suppress(BlockingIOError):
            os.read(self._read, 4096)

    def _ended(self) -> None:
        assert self._until is not None
        with suppress(BlockingIOError):
            self.asked = self.asked or not os.read(self._until, 4096)

    def _heard(self, signum: int, frame: FrameType | None) -> None:
        self.asked = True
