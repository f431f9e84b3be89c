"""Open a connection to a Redis server by redis-py, which waits.

Whoever needs this module loads redis-py with it: a tenth of a second and 19 MB.

Units:   seconds.
Errors:  UnavailableError.
"""

from __future__ import annotations

from typing import Any

import redis

from workerd.errors import RefusedError, UnavailableError
from workerd.transport.address import RedisAddress
from workerd.transport.refusals import MEANINGS


def open_blocking(address: RedisAddress, timeout: float) -> tuple[Any, int]:
    """A connection of redis-py, and the RESP version that it speaks; each step takes ``timeout`` at most."""
    try:
        try:
            connection = address.connection(timeout, protocol=3)
            connection.connect()
        except redis.ResponseError:
            # A server before 6.0, or one whose ACL refuses HELLO.
            connection = address.connection(timeout, protocol=2)
            connection.connect()
            return connection, 2
    except (redis.RedisError, OSError) as exc:
        refused = isinstance(exc, redis.AuthenticationError)
        raise (RefusedError if refused else UnavailableError)(_trouble(address.shown, exc, timeout)) from exc
    return connection, 3


def _trouble(server: str, exc: Exception, timeout: float) -> str:
    """What redis-py raised, in one sentence."""
    if (refused := unauthenticated(server, exc)) is not None:
        return refused
    if isinstance(exc, (redis.TimeoutError, TimeoutError)):
        return f"cannot connect to {server}: it gives no answer within {timeout:g} s"
    if isinstance(exc, redis.BusyLoadingError):
        return f"{server} {MEANINGS['LOADING']} ({exc})"
    return f"cannot connect to {server}: {exc}"


def unauthenticated(server: str, exc: BaseException) -> str | None:
    """That ``server`` wants a password or another one, if that is what redis-py raised, or its cause."""
    known: BaseException | None = exc
    while known is not None and not isinstance(known, redis.AuthenticationError):
        known = known.__cause__
    if known is None:
        return None
    # The word that says which of the two it is, redis-py has cut off.
    said = str(known).partition(", ")[0].rstrip(".")
    wants = "required" in said or "already authenticated" in said
    return f"{server} {MEANINGS['NOAUTH' if wants else 'WRONGPASS']} ({said})"
