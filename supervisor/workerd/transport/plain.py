"""Open a plain connection to a Redis server and wait until it has taken us in.

TLS is redis-py's, see ``blocking``; without it nothing is left that a link needs redis-py for.

Units:   seconds.
Errors:  UnavailableError; RefusedError where somebody must act.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence
from typing import Any

import hiredis

from workerd.errors import RefusedError, UnavailableError
from workerd.transport.address import RedisAddress
from workerd.transport.opening import greeting
from workerd.transport.refusals import MEANINGS, refusal

_pack: Any = hiredis.pack_command  # its own type admits one word only
_NOTHING = object()


def open_plain(address: RedisAddress, timeout: float) -> tuple[socket.socket, int]:
    """A connected socket, and the RESP version that it speaks; each step takes ``timeout`` at most."""
    try:
        sock = _dial(address, timeout)
    except OSError as exc:
        reason = _silence(timeout) if isinstance(exc, TimeoutError) else exc.strerror or str(exc)
        raise UnavailableError(f"cannot connect to {address.shown}: {reason}") from exc
    try:
        return sock, _greet(sock, address, timeout)
    except BaseException:
        sock.close()
        raise


def _dial(address: RedisAddress, timeout: float) -> socket.socket:
    if address.path:
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(timeout)
        try:
            sock.connect(address.path)
        except BaseException:
            sock.close()
            raise
        return sock
    sock = socket.create_connection((address.name, address.port), timeout)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    return sock


def _greet(sock: socket.socket, address: RedisAddress, timeout: float) -> int:
    for protocol in (3, 2):
        words = greeting(address, protocol)
        # The PING is an answer also where nothing else is to be said; whether we may is no matter.
        replies = _ask(sock, [*words, ("PING",)], address, timeout)[:-1]
        error = next((reply for reply in replies if isinstance(reply, hiredis.ReplyError)), None)
        if error is None:
            return protocol
        code, _, said = str(error).partition(" ")
        if code in ("NOAUTH", "WRONGPASS"):
            why = said.partition(", ")[0].rstrip(".")
            raise RefusedError(f"{address.shown} {MEANINGS[code]} ({why})")
        # Without HELLO: a server before 6.0, or one whose ACL refuses it.
    raise UnavailableError(f"cannot connect to {address.shown}: {refusal('it', error)}")


def _ask(
    sock: socket.socket, commands: Sequence[tuple[str | int, ...]], address: RedisAddress, timeout: float
) -> list[Any]:
    reader = hiredis.Reader(notEnoughData=_NOTHING)
    replies: list[Any] = []
    deadline = time.monotonic() + timeout
    try:
        sock.sendall(b"".join(map(_pack, commands)))
        while len(replies) < len(commands):
            sock.settimeout(max(deadline - time.monotonic(), 0.001))
            if not (data := sock.recv(65536)):
                raise UnavailableError(f"cannot connect to {address.shown}: it closed the connection")
            reader.feed(data)
            while (reply := reader.gets()) is not _NOTHING:
                replies.append(reply)
    except TimeoutError as exc:
        raise UnavailableError(f"cannot connect to {address.shown}: {_silence(timeout)}") from exc
    except OSError as exc:
        raise UnavailableError(f"cannot connect to {address.shown}: {exc}") from exc
    except hiredis.ProtocolError as exc:
        raise UnavailableError(f"{address.shown} does not speak RESP: {exc}") from exc
    return replies


def _silence(timeout: float) -> str:
    return f"it gives no answer within {timeout:g} s"
