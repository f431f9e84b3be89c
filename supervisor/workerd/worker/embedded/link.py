"""Ask a server on a unix socket whether it is there: one PING, and the connection's end as its loss."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

from workerd.transport.loop import Cancelable, Loop

_PING = b"PING\r\n"
_PONG = b"+PONG"
_LOADING_PAUSE = 0.2  # seconds between two questions to a server that reads its data


def answers(path: Path, within: float = 1.0) -> bool:
    """True when a server at ``path`` answers a PING within so many seconds.  Blocks."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(within)
        try:
            sock.connect(os.fspath(path))
            sock.sendall(_PING)
            return sock.recv(64).startswith(_PONG)
        except OSError:
            return False


class Link:
    """A connection that is held only to know that the server lives.

    ``on_up`` is called once, when it has answered; ``on_lost`` once, unless ``close`` comes first.
    """

    def __init__(
        self, loop: Loop, path: Path, on_up: Callable[[], object], on_lost: Callable[[], object]
    ) -> None:
        self._loop, self._path, self._on_up, self._on_lost = loop, path, on_up, on_lost
        self._sock: socket.socket | None = None
        self._timer: Cancelable | None = None

    def open(self) -> bool:
        """False when nothing listens there now."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.setblocking(False)
        try:
            sock.connect(os.fspath(self._path))
        except OSError:
            sock.close()
            return False
        self._sock = sock
        self._loop.add_reader(sock.fileno(), self._readable)
        self._ask()
        return True

    def close(self) -> None:
        """Forget the server.  May be called twice."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._sock is not None:
            self._loop.remove_reader(self._sock.fileno())
            self._sock.close()
            self._sock = None

    def _ask(self) -> None:
        self._timer = None
        if self._sock is None:
            return
        try:
            self._sock.send(_PING)
        except OSError:
            self._lost()

    def _readable(self) -> None:
        if self._sock is None:
            return
        try:
            answer = self._sock.recv(1024)
        except BlockingIOError:
            return
        except OSError:
            answer = b""
        if not answer:
            self._lost()
        elif answer.startswith(_PONG):
            self._on_up()
        elif self._timer is None:  # it reads its data (LOADING)
            self._timer = self._loop.call_later(_LOADING_PAUSE, self._ask)

    def _lost(self) -> None:
        self.close()
        self._on_lost()
