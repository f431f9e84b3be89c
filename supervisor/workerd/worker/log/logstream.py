"""LogStream: where the daemon's log goes, its stderr or a file, for a loop that must never wait for a reader.

A terminal that is stopped with Ctrl-S, a pipe to a program that hangs, a journal that is busy: a plain
write would stop the whole daemon there, and with it the leases of the tasks that run.  Here what is not
taken waits, up to ``LIMIT``; then lines are dropped, and their number is told as soon as it can be.
Meanwhile the tasks' own output is held back, so that it waits at the tasks and nothing of it is lost.

Units:   bytes; seconds.
Errors:  none; what the log refuses for good (a full disk, a reader that is gone) is given up and counted.
"""

from __future__ import annotations

import os
import select
import socket
import stat
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workerd.worker.loop.hub import Hub

LIMIT = 1024 * 1024
ATOMIC = 4096
"""A pipe that has room at all has room for so much, and no other writer's bytes come in between."""

MUCH = 64 * 1024
"""So much does not wait for the end of the loop's turn."""

Send = Callable[[bytes], int]


class LogStream:
    """What a ``logging.StreamHandler`` writes to."""

    def __init__(self, fd: int = 2) -> None:
        self._fd, self._send, self._release = _opened(fd)
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._dropped = 0
        self._in_hand = 0  # lines of the write that goes on
        self._hub: Hub | None = None
        self._hold: Callable[[bool], None] = _nobody
        self.blocked = False
        self.told: Callable[[str], str] = _plain
        """How a line of this stream's own looks."""
        self.told_dropped: Callable[[int], str] = _plain_dropped
        """The line that tells how many were dropped, likewise."""

    def write(self, text: str) -> None:
        """Take one record's text; ``flush`` sends it."""
        data = text.encode("utf-8", "backslashreplace")
        if self._size + len(data) > LIMIT:
            self._dropped += 1
            return
        self._waiting.append(data)
        self._size += len(data)

    def flush_later(self) -> None:
        """``flush`` before the hub sleeps; at once where there is no hub, or much to write."""
        if self._hub is None or self._size >= MUCH:
            self.flush()

    def flush(self) -> None:
        """Write what can be written now."""
        told = 0
        try:
            while self._waiting:
                self._write_some()
                if not self._waiting and self._dropped:
                    told += self._dropped
                    self._dropped = 0
                    self.write(f"{self.told_dropped(told)}\n")
        except BlockingIOError:
            self._block(True)
        except OSError:
            # As with any log: the daemon goes on without it, and says so when it is back.
            self._dropped += told or len(self._waiting) + self._in_hand
            self._in_hand = 0
            self._waiting.clear()
            self._size = 0
            self._block(False)
        else:
            self._block(False)

    def fileno(self) -> int:
        """A descriptor that is not waited for either, where stderr is a pipe or a terminal."""
        return self._fd

    def attach(self, hub: Hub, hold: Callable[[bool], None]) -> None:
        """Let the hub tell when stderr can be written again; ``hold`` is told when it cannot be and can."""
        self._hub, self._hold = hub, hold
        hub.on_tick.add(self._tick)
        if self.blocked:
            self.blocked = False
            self.flush()

    def detach(self) -> None:
        """The hub ends."""
        if self._hub is not None:
            self._hub.on_tick.discard(self._tick)
            if self.blocked:
                self._hub.remove_writer(self._fd)
        self._hub, self._hold = None, _nobody
        self._tick()

    def settle(self, within: float = 1.0) -> None:
        """At the very end: write what is left, or give it up after ``within`` seconds."""
        deadline = time.monotonic() + within
        poll = select.poll()
        poll.register(self._fd, select.POLLOUT)
        self.flush()
        while self._waiting and (left := deadline - time.monotonic()) > 0:
            poll.poll(left * 1000)
            self.flush()

    def close(self) -> None:
        """Give back what was opened for it; the descriptor that it was made for stays open."""
        self._release()

    def _tick(self) -> None:
        if self._waiting and not self.blocked:
            self.flush()

    def _write_some(self) -> None:
        """One line, or as many as go into one write that cannot be cut."""
        waiting = self._waiting
        data, before = waiting.popleft(), len(waiting)
        while waiting and len(data) + len(waiting[0]) <= ATOMIC:
            data += waiting.popleft()
        self._in_hand = 1 + before - len(waiting)
        try:
            sent = self._send(data)
        except BlockingIOError:
            waiting.appendleft(data)
            raise
        self._size -= sent
        self._in_hand = 0
        if sent < len(data):
            waiting.appendleft(data[sent:])

    def _block(self, blocked: bool) -> None:
        if blocked is self.blocked:
            return
        self.blocked = blocked
        if self._hub is not None:
            if blocked:
                self._hub.add_writer(self._fd, self.flush)
            else:
                self._hub.remove_writer(self._fd)
        self._hold(blocked)


def _opened(fd: int) -> tuple[int, Send, Callable[[], None]]:
    """The descriptor to watch, how to write to it without waiting, and how to give it back.

    O_NONBLOCK is no way: the flag would be the shell's and the reader's too, who share the open file.
    """
    mode = os.fstat(fd).st_mode
    if stat.S_ISSOCK(mode):
        sock = socket.socket(fileno=os.dup(fd))
        return fd, lambda data: sock.send(data, socket.MSG_DONTWAIT), sock.close
    if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
        try:
            own = os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        except OSError:
            # Another user's terminal, or a pipe that nobody reads.
            return fd, lambda data: _write_checked(fd, data), _nothing
        return own, lambda data: os.write(own, data), partial(os.close, own)
    return fd, lambda data: os.write(fd, data), _nothing


def _write_checked(fd: int, data: bytes) -> int:
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    if not poll.poll(0):
        raise BlockingIOError
    return os.write(fd, data[:ATOMIC])


def _nothing() -> None:
    """Nothing was opened."""


def _nobody(blocked: bool) -> None:
    """Nobody holds anything back."""


def _plain(text: str) -> str:
    return f"[{text}]\n"


def _plain_dropped(count: int) -> str:
    return f"[{count} log lines were dropped while the log took none]"
