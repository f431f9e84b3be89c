"""A py-amqp connection in the hub: read without waiting, heartbeats kept, its loss told once.

py-amqp reads a frame until it has all of it, so it is only asked to when the whole frame has come: the bytes
are received here without blocking and left in its own buffer, from which its synchronous calls (declare,
close) go on as ever.  Those and every write have the socket's timeout.

Units:  seconds.
"""

from __future__ import annotations

import ssl
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from amqp.exceptions import AMQPError

from workerd.source.amqp.header_frames import tolerant
from workerd.transport.loop import Cancelable, Loop

TIMEOUT = 5.0
READ_SIZE = 16 * 1024  # py-amqp copies what is left of its buffer several times a frame
READS = 16
"""Reads in one turn; other descriptors have their turn then."""

HEADER = struct.Struct(">BHI")
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
        self._fd = -1
        self._heart: Cancelable | None = None
        self._closed = False

    def start(self) -> None:
        self._connection.sock.settimeout(TIMEOUT)
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
                if self._closed or not self._receive():
                    return
                while not self._closed and self._frame_is_whole():
                    self._connection.blocking_read()
            # TLS may hold decrypted bytes that no poll would tell of.
            self._loop.call_soon(self.read)

    def _receive(self) -> bool:
        """False when nothing is there."""
        if not self._connection.connected:  # its attributes would connect again
            raise ConnectionResetError("the connection is closed")
        transport = self._connection.transport
        transport.sock.settimeout(0)
        try:
            data = transport.sock.recv(READ_SIZE)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return False
        finally:
            transport.sock.settimeout(TIMEOUT)
        if not data:
            raise ConnectionResetError("the broker closed the connection")
        # No public way to hand bytes to py-amqp; its frame reader begins with this buffer.
        transport._read_buffer += data
        return True

    def _frame_is_whole(self) -> bool:
        if not self._connection.connected:
            return False
        buffer = self._connection.transport._read_buffer
        if len(buffer) < HEADER.size:
            return False
        size: int = HEADER.unpack_from(buffer)[2]
        return len(buffer) > HEADER.size + size  # and the octet that ends it

    def _beat(self) -> None:
        self.read()  # after a long stop of this process, the peer's heartbeats wait in the socket
        if not self._closed:
            with self.guarded():
                self._connection.heartbeat_tick(rate=BEATS)
