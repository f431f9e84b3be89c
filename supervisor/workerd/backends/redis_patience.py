"""redis-py connections that never wait longer than who asked for them does.

redis-py's connect timeout ends with the TCP handshake; a server that accepts and says nothing would cost its
socket timeout (Celery's default is two minutes) for TLS, HELLO and AUTH each.  Here the connect timeout holds
for each step of them all, and a deadline for every wait of the thread that has set one.

Units: seconds; deadlines are those of the monotonic clock.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis.connection

SHORTEST = 0.05
"""A timeout of zero would make the socket non-blocking."""

# redis-py has types, but they change between its releases more than its behaviour does.
_redis: Any = redis.connection


class Patience(threading.local):
    """When the calling thread stops waiting; None where it has no such plan."""

    deadline: float | None = None

    @contextmanager
    def until(self, deadline: float | None) -> Iterator[None]:
        """Within, this thread waits until ``deadline`` at most."""
        before, self.deadline = self.deadline, deadline
        try:
            yield
        finally:
            self.deadline = before

    def cap(self, seconds: float | None) -> float | None:
        """``seconds``, or what is left of them."""
        if self.deadline is None:
            return seconds
        left = max(self.deadline - time.monotonic(), SHORTEST)
        return left if seconds is None else min(seconds, left)


class _Bounded:
    """What is added to each of redis-py's connection classes, whose attributes these are."""

    socket_timeout: float | None
    socket_connect_timeout: float | None
    _sock: Any

    def __init__(self, *args: Any, patience: Patience, **kwargs: Any) -> None:
        self._patience = patience
        super().__init__(*args, **kwargs)

    def connect_check_health(self, *args: Any, **kwargs: Any) -> None:
        if self._sock is not None:
            return
        usual = self.socket_timeout, self.socket_connect_timeout
        self.socket_timeout = self.socket_connect_timeout = self._patience.cap(usual[1])
        parent: Any = super()
        try:
            parent.connect_check_health(*args, **kwargs)
        finally:
            self.socket_timeout, self.socket_connect_timeout = usual
            self._set_timeout(usual[0])

    def read_response(self, *args: Any, **kwargs: Any) -> Any:
        parent: Any = super()
        if self._patience.deadline is None:
            return parent.read_response(*args, **kwargs)
        before = self._sock.gettimeout() if self._sock is not None else None
        self._set_timeout(self._patience.cap(before))
        try:
            return parent.read_response(*args, **kwargs)
        finally:
            self._set_timeout(before)

    def _set_timeout(self, seconds: float | None) -> None:
        if self._sock is not None:
            self._sock.settimeout(seconds)


class Plain(_Bounded, _redis.Connection):  # type: ignore[misc]
    """Over TCP."""


class Secure(_Bounded, _redis.SSLConnection):  # type: ignore[misc]
    """Over TLS."""


class Local(_Bounded, _redis.UnixDomainSocketConnection):  # type: ignore[misc]
    """Over a unix socket."""


def bounded(pool: Any, patience: Patience) -> None:
    """Have redis-py's ``pool`` make connections that obey ``patience``."""
    kinds = {base: kind for kind in (Plain, Secure, Local) for base in kind.__bases__[1:]}
    pool.connection_class = kinds[pool.connection_class]
    pool.connection_kwargs["patience"] = patience
