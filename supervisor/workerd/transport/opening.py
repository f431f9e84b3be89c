"""Open a plain connection to a Redis server without waiting.

There are two parts: the socket (``Opening``) and what is said first (``greeting``).  Only a host name that
must be looked up blocks, as long as the resolver takes.  What may wait is in ``blocking``.

Errors:  UnavailableError from ``Opening.start`` for an unknown host.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from contextlib import suppress
from errno import EINPROGRESS

from workerd.errors import UnavailableError
from workerd.transport.address import RedisAddress
from workerd.transport.loop import Loop

CLIENT_NAME = "workerd"

Place = tuple[int, str | tuple[object, ...]]
"""An address family, and where in it."""


class Opening:
    """Tries the server's addresses one after another; one of ``on_open`` and ``on_failed`` is called once.

    It has no patience of its own: who started it sets a timer and calls ``close``.
    """

    def __init__(
        self,
        loop: Loop,
        address: RedisAddress,
        on_open: Callable[[socket.socket], object],
        on_failed: Callable[[str], object],
    ) -> None:
        self._loop, self._address = loop, address
        self._on_open, self._on_failed = on_open, on_failed
        self._places: list[Place] = []
        self._sock: socket.socket | None = None

    def start(self) -> None:
        """Begin; the callbacks come in later turns."""
        try:
            self._places = _places(self._address)
        except OSError as exc:
            raise UnavailableError(f"cannot connect to {self._address.shown}: {exc}") from exc
        # Never from inside the caller's own call.
        self._loop.call_soon(self._next, "it has no address")

    def close(self) -> None:
        """Give up, without a word.  May be called twice."""
        self._places = []
        if self._sock is not None:
            self._loop.remove_writer(self._sock.fileno())
            self._sock.close()
            self._sock = None
        self._on_open = self._on_failed = _ignore

    def _next(self, reason: str) -> None:
        if not self._places:
            self._on_failed(f"cannot connect to {self._address.shown}: {reason}")
            return
        family, place = self._places.pop(0)
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.setblocking(False)
        if family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        error = sock.connect_ex(place)
        if error not in (0, EINPROGRESS):
            sock.close()
            self._next(os.strerror(error))
            return
        self._sock = sock
        self._loop.add_writer(sock.fileno(), self._writable)

    def _writable(self) -> None:
        sock, self._sock = self._sock, None
        if sock is None:
            return
        self._loop.remove_writer(sock.fileno())
        if error := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            sock.close()
            self._next(os.strerror(error))
        else:
            self._on_open(sock)


def hang_up(sock: socket.socket) -> None:
    """Close; what was sent still arrives."""
    with suppress(OSError):  # the peer has gone
        sock.shutdown(socket.SHUT_RDWR)
    sock.close()


def greeting(address: RedisAddress, protocol: int) -> list[tuple[str | int, ...]]:
    """What a new connection says first: who we are, and which database, if it is not the first one."""
    words: list[tuple[str | int, ...]] = []
    user, password = address.username, address.password
    if protocol == 3:
        login = ("AUTH", user or "default", password) if password else ()
        words.append(("HELLO", 3, *login, "SETNAME", CLIENT_NAME))
    elif password:
        # Before 6.0 there is no user.
        words.append(("AUTH", user, password) if user else ("AUTH", password))
    if address.db:
        words.append(("SELECT", address.db))
    return words


def _places(address: RedisAddress) -> list[Place]:
    if address.path:
        return [(socket.AF_UNIX, address.path)]
    found = socket.getaddrinfo(address.name, address.port, type=socket.SOCK_STREAM)
    return [(family, place) for family, _, _, _, place in found]


def _ignore(*_: object) -> None:
    """Nobody listens any more."""
