"""A py-amqp connection in the hub: read without waiting, heartbeats kept, its loss told once.

py-amqp reads a frame until it has all of it, so the bytes are received here, without blocking, and given to
a ``Reader``.  What py-amqp's synchronous calls (declare, close) read has the socket's timeout, as has every
write.

Units:  seconds.
"""

from __future__ import annotations

import os
import ssl
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from amqp.exceptions import AMQPError

from workerd.source.amqp.header_frames import tolerant
from workerd.source.amqp.reader import Reader
from workerd.transport.loop import Cancelable, Loop

TIMEOUT = 5.0
READ_SIZE = 64 * 1024  # what is left of it is copied for each frame that goes to py-amqp
READS = 16
"""Reads in one turn; other descriptors have their turn then."""

LINK_ERRORS = (OSError, AMQPError, struct.error, ValueError)
"""What py-amqp raises for a lost connection, a closed channel, and bytes that it cannot read."""

BEATS = 2
"""Heartbeats sent for each interval that was agreed with the broker."""


def with_advice(reason: str) -> str:
    """Why a link was lost, and what an operator should do where that is known."""
    if "delivery acknowledgement" in reason and "timed out" in reason:
        return f"{reason.rstrip('.')}; give that time to the daemon too, as amqp.consumer_timeout"
    return reason


class AmqpLink:
    """Drives ``connection``, an open py-amqp connection; used once."""

    def __init__(self, connection: Any, loop: Loop, on_lost: Callable[[str], object]) -> None:
        self._connection, self._loop, self._on_lost = connection, loop, on_lost
        self._reader = Reader(connection)
        self._fd, self._tls = -1, False
        self._heart: Cancelable | None = None
        self._closed = False

    def start(self) -> None:
        self._connection.sock.settimeout(TIMEOUT)
        self._tls = isinstance(self._connection.sock, ssl.SSLSocket)
        self._connection.on_inbound_frame = tolerant(self._connection.on_inbound_frame)
        self._fd = self._connection.sock.fileno()
        self._loop.add_reader(self._fd, self.read)
        if self._connection.heartbeat:
            self._heart = self._loop.call_repeatedly(self._connection.heartbeat / BEATS, self._beat)

    def stop(self) -> None:
        """Leave the loop; ``on_lost`` is not called any more."""
        if self._closed:
            return
        self._closed = True
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
        if self._heart is not None:
            self._heart.cancel()

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """A connection error within is the loss of the link, and goes no further."""
        try:
            yield
        except LINK_ERRORS as exc:
            if not self._closed:
                self.stop()
                self._on_lost(with_advice(str(exc) or repr(exc)))

    def read(self) -> None:
        """Take what has come and dispatch the frames that are complete."""
        with self.guarded():
            for _ in range(READS):
                if self._closed or not (data := self._receive()):
                    return
                self._reader.feed(data)
                if not self._tls and len(data) < READ_SIZE:
                    return  # that was all
            # TLS may hold decrypted bytes that no poll would tell of.
            self._loop.call_soon(self.read)

    def _receive(self) -> bytes:
        """Empty when nothing is there."""
        if not self._connection.connected:  # its attributes would connect again
            raise ConnectionResetError("the connection is closed")
        try:
            data = self._receive_decrypted() if self._tls else self._receive_plain()
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return b""
        if not data:
            raise ConnectionResetError("the broker closed the connection")
        return data

    def _receive_plain(self) -> bytes:
        # The descriptor of a socket with a timeout does not block; Python's recv() would wait for it first.
        return os.read(self._fd, READ_SIZE)

    def _receive_decrypted(self) -> bytes:
        sock = self._connection.sock
        sock.settimeout(0)
        try:
            data: bytes = sock.recv(READ_SIZE)
        finally:
            sock.settimeout(TIMEOUT)
        return data

    def _beat(self) -> None:
        self.read()  # after a long stop of this process, the peer's heartbeats wait in the socket
        if not self._closed:
            with self.guarded():
                self._connection.heartbeat_tick(rate=BEATS)
