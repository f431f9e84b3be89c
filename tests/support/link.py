"""One connection that the tests' proxy carries: two sockets and what is on its way between them."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections import deque
from dataclasses import dataclass

HELD_AT_MOST = 262_144  # bytes of one direction; beyond that its sender has to wait
_AT_ONCE = struct.pack("ii", 1, 0)  # SO_LINGER: what close() sends is a reset


@dataclass(frozen=True)
class Pace:
    """Seconds that each byte is on its way, and bytes a second of each direction (0: no bound)."""

    delay: float = 0.0
    rate: float = 0.0


class Pipe:
    """One direction."""

    def __init__(self, source: socket.socket, target: socket.socket) -> None:
        self.source, self.target = source, target
        self._held: deque[tuple[float, bytes]] = deque()  # (when it may arrive, what), oldest first
        self._size = 0
        self._ended = self._told = False  # the source will send no more; the target knows

    @property
    def hungry(self) -> bool:
        return not self._ended and self._size < HELD_AT_MOST

    @property
    def done(self) -> bool:
        return self._told

    def due(self) -> float | None:
        """When the target is to be written to next; None when there is nothing for it."""
        if self._held:
            return self._held[0][0]
        return 0.0 if self._ended and not self._told else None

    def read(self, now: float, pace: Pace) -> None:
        """Take what the source has sent.  Errors: OSError when it has reset the connection."""
        data = self.source.recv(4096 if pace.rate else 65536)
        if not data:
            self._ended = True
            return
        after = self._held[-1][0] if self._held else now
        self._held.append(
            (max(after + (len(data) / pace.rate if pace.rate else 0.0), now + pace.delay), data)
        )
        self._size += len(data)

    def write(self, now: float, at_most: int) -> int:
        """Hand on what is due; how many bytes it was.  Errors: OSError when the target has gone."""
        sent = 0
        with contextlib.suppress(BlockingIOError):
            while self._held and self._held[0][0] <= now and sent < at_most:
                when, data = self._held[0]
                count = self.target.send(data[: at_most - sent])
                sent += count
                self._held.popleft()
                if count < len(data):
                    self._held.appendleft((when, data[count:]))
        self._size -= sent
        if self._ended and not self._held and not self._told:
            self._told = True
            self.target.shutdown(socket.SHUT_WR)
        return sent


class Link:
    """A client's connection and the one that was opened to the server for it."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        for end in (client, server):
            end.setblocking(False)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.ends = (client, server)
        self.up, self.down = Pipe(client, server), Pipe(server, client)

    @property
    def done(self) -> bool:
        return self.up.done and self.down.done

    def close(self, *, reset: bool) -> None:
        """End it towards both sides; what was on its way is lost."""
        for end in self.ends:
            with contextlib.suppress(OSError):
                if reset:
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
                else:
                    end.shutdown(socket.SHUT_WR)
                    while end.recv(65536):  # what stays unread would turn the end into a reset
                        pass
            end.close()
