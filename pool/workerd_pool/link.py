"""Link: the child's two sockets, and the Report of a running job."""

from __future__ import annotations

import logging
import os
import socket
import threading
from typing import Any

from workerd_pool import frames
from workerd_pool.frames import Kind
from workerd_pool.interrupt import Interrupt, exception_of

_PEEK = int(socket.MSG_PEEK | socket.MSG_DONTWAIT)
_AT_ONCE = int(socket.MSG_DONTWAIT)
_INTERRUPT = bytes((Kind.INTERRUPT,))


class Link:
    """Frames come down one at a time and go up whole, from any thread of the child."""

    def __init__(self, down: int, up: int, interrupt: Interrupt) -> None:
        self._down = socket.socket(fileno=down)
        self._up = socket.socket(fileno=up)
        self._interrupt = interrupt
        self._lock = threading.Lock()
        self._kept: frames.Frame | None = None
        self._large = False  # the next frame may bring a descriptor
        interrupt.look = self.interruption

    def receive(self, *, wait: bool = True) -> frames.Frame | None:
        """The next frame; None at the end of the file, or at once if there is none and ``wait`` is off."""
        if self._kept is not None:
            kept, self._kept = self._kept, None
            return kept
        flags = 0 if wait else _AT_ONCE
        try:
            frame = self._receive_large(flags) if self._large else frames.receive_inline(self._down, flags)
            while frame is not None and frame[0] == frames.LARGE:
                self._large = True
                frame = self._receive_large(flags)
        except BlockingIOError:
            return None
        self._large = False
        return frame

    def _receive_large(self, flags: int) -> frames.Frame | None:
        """With room for a descriptor; what was announced may have been taken back since."""
        got = frames.receive(self._down, flags)
        if got is None:
            return None
        frames.close_all(got[3])
        return got[:3]

    def interruption(self, job_id: int) -> BaseException | None:
        """What the parent wants raised in this job; frames that mean another one are dropped.

        Called by a signal handler: it never waits, and touches no lock.
        """
        try:
            while self._kept is None and self._down.recv(1, _PEEK)[:1] == _INTERRUPT:
                # The parent reads here too, so what comes is not always what was seen.
                frame = self.receive(wait=False)
                if frame is None:
                    return None
                if frame[0] != Kind.INTERRUPT:
                    self._kept = frame
                    return None
                meant, cause, text = frames.decode(frame[1])
                if meant == job_id:
                    return exception_of(cause, text)
        except OSError:
            # Nothing waits, or task code has closed what is not its own.
            return None
        return None

    def send(self, kind: Kind, header: Any = None, body: bytes = b"") -> None:
        """Write one frame."""
        encoded = b"" if header is None else frames.encode(header)
        with self._interrupt, self._lock:
            frames.send(self._up, kind, encoded, body)

    def send_between(self, kind: int, header: bytes, body: bytes = b"") -> None:
        """Write one frame whose header is msgpack already, while no job runs that could be interrupted."""
        with self._lock:
            frames.send(self._up, kind, header, body)

    def log(self, level: int, text: str) -> None:
        """A line for the supervisor's log."""
        self.send(Kind.LOG, [level, text])

    def abandon(self) -> None:
        """Close both sockets: this is a process that a task forked, and it has no supervisor."""
        for sock in (self._down, self._up):
            os.close(sock.detach())


class JobReport:
    """The Report of one job; silent once the job has ended."""

    __slots__ = ("_interrupt", "_job_id", "_link", "open")

    def __init__(self, link: Link, interrupt: Interrupt, job_id: int) -> None:
        self._link, self._interrupt, self._job_id = link, interrupt, job_id
        self.open = True
        """The job has not ended."""

    def progress(self, header: dict[str, Any], body: bytes) -> None:
        """Send an intermediate state up."""
        if self.open:
            self._link.send(Kind.PROGRESS, [self._job_id, header], body)
        else:
            logging.getLogger(__name__).warning("progress of job %d came after its end", self._job_id)

    def shield(self) -> None:
        """The soft limit does not interrupt this job any more."""
        self._interrupt.disarm()
