"""Sockets: the parent's side of the two pairs that it shares with one child.

The parent keeps the child's end of the down pair open as well: reading there takes back what the
child has not read, one whole packet at a time, also from a stopped or dead child.

Errors: OSError from the constructor; BlockingIOError from ``send`` when the child does not read.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from functools import partial

from workerd_pool import frames

ROOM = 512 * 1024  # bytes


class Sockets:
    """Frames down to a child, and up from it."""

    def __init__(self) -> None:
        self._down, self._childs_down = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            self.up, self._childs_up = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        except OSError:
            self.hang_up()
            raise
        for end in (self._down, self._childs_up):
            # As much as the kernel lets it have: it counts 1 KiB and more for the smallest frame.
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, ROOM)
        # Not the child's ends: the flag belongs to the file that both processes share.
        self._down.setblocking(False)
        self.up.setblocking(False)
        self.send: Callable[..., None] = partial(frames.send, self._down)
        """Write one frame, whole or not at all: kind, header, body."""
        self._decoder = frames.Decoder()
        self.taken = 0  # bytes that the last read has brought

    def childs_ends(self) -> tuple[int, int]:
        """The descriptors for the child: down and up."""
        return self._childs_down.fileno(), self._childs_up.fileno()

    def given_away(self) -> None:
        """The child has its ends; of the up pair the parent keeps only its own."""
        self._childs_up.close()

    # -- down

    def read_back(self) -> tuple[int, bytes] | None:
        """Kind and header of the next frame that the child has not read, which it will not read now."""
        if self._childs_down.fileno() < 0:
            return None
        try:
            got = frames.receive(self._childs_down, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return None
        if got is None:
            return None
        frames.close_all(got[3])
        return got[0], got[1]

    def unread(self) -> int | None:
        """The kind of the next frame that the child has not read, which stays there."""
        try:
            head = self._childs_down.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except OSError:
            return None
        return head[0] if head else None

    def front(self) -> tuple[int, bytes] | None:
        """Kind and header of the next frame that the child has not read, which stays there."""
        try:
            data = self._childs_down.recv(frames.RECEIVE, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except OSError:
            return None
        return frames.head(data) if data else None

    # -- up

    def read(self) -> list[frames.Frame] | None:
        """The frames that one read completes; None at the end of the file, [] when nothing waits."""
        try:
            data, fds = frames.receive_bytes(self.up)
        except BlockingIOError:
            return []
        except ConnectionResetError:
            return None
        self.taken = len(data)
        return self._decoder.feed(data, fds) if data else None

    def read_all(self) -> list[frames.Frame]:
        """Everything that a dead child has written whole."""
        complete: list[frames.Frame] = []
        while self.up.fileno() >= 0 and (got := self.read()):
            complete.extend(got)
        return complete

    # -- the end

    def hang_up(self) -> None:
        """Let the child read the end of the file."""
        self._down.close()
        self._childs_down.close()

    def close(self) -> None:
        """Give all descriptors back.  May be called twice."""
        self.hang_up()
        self._childs_up.close()
        self.up.close()
        self._decoder.close()
