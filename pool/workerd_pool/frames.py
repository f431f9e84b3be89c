"""Frames: u8 kind, header (msgpack), raw body; the same on every socket, down and up.

A frame whose header and body together exceed ``INLINE`` bytes carries them in a memfd (SCM_RIGHTS)
and only its prefix in the socket, so no frame ever blocks a socket buffer for long and both
directions stay small.  Further descriptors (a new child's own) ride behind the memfd.

Units:   lengths in bytes.
Errors:  ProtocolError for bytes that no honest sender writes.
"""

from __future__ import annotations

import os
import socket
import struct
from array import array
from collections import deque
from collections.abc import Sequence
from enum import IntEnum
from typing import Any

import msgspec

from workerd_pool.errors import ProtocolError

PREFIX = struct.Struct("<BII")  # kind, length of the header, length of the body
PREFIX_SIZE = PREFIX.size
INLINE = 64 * 1024
RECEIVE = PREFIX_SIZE + INLINE
BY_MEMFD = 0x80
MAX_LENGTH = 0xFFFF_FFFF
MAX_FDS = 5  # a memfd, and the two sockets and two pipes of a new child

# CPython 3.11 does not mark descriptors that recvmsg brings as close-on-exec by itself.
# An int, because the flags of ``socket`` are enums, and to join two of those costs more than the call.
_RECEIVE_FLAGS = int(socket.MSG_CMSG_CLOEXEC)
_pack_prefix, _unpack_prefix = PREFIX.pack, PREFIX.unpack_from
_ANCILLARY = socket.CMSG_SPACE(MAX_FDS * array("i").itemsize)

encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder().decode


class Kind(IntEnum):
    """What a frame says.  The README lists each header."""

    # down
    INIT = 1
    FORK = 2
    GO = 3
    RUN = 4
    DRAIN = 5
    PING = 6
    INTERRUPT = 7
    LARGE = 8
    # up
    FORKED = 16
    INITIALISED = 17
    READY = 18
    DONE = 20
    PROGRESS = 21
    LOG = 22
    PONG = 23
    FAILED = 24


# To name a member of an enum costs as much as a call: these are for what is done once a job.
RUN, LARGE, DONE = int(Kind.RUN), int(Kind.LARGE), int(Kind.DONE)

Frame = tuple[int, bytes, bytes]
"""Kind (as int: an enum look-up costs more than the rest of the parsing), header, body."""


def pack(kind: int, header: bytes = b"", body: bytes = b"") -> bytes:
    """One frame that fits inline, as bytes."""
    return _pack_prefix(kind, len(header), len(body)) + header + body


def send(
    sock: socket.socket,
    kind: int,
    header: bytes = b"",
    body: bytes = b"",
    fds: Sequence[int] = (),
) -> None:
    """Write one frame.  On a non-blocking packet socket it goes whole or raises BlockingIOError."""
    header_size, body_size = len(header), len(body)
    if header_size + body_size <= INLINE:
        data = _pack_prefix(kind, header_size, body_size) + header + body
        if fds:
            _send_with(sock, data, fds)
        else:
            # A packet goes whole or raises; asking for the socket's type would cost as much as the call.
            sock.sendall(data)
        return
    if max(header_size, body_size) > MAX_LENGTH:
        raise ProtocolError(f"a frame with {header_size} + {body_size} bytes is too large")
    memfd = _memfd(header, body)
    try:
        _send_with(sock, _pack_prefix(kind | BY_MEMFD, header_size, body_size), (memfd, *fds))
    finally:
        os.close(memfd)


def receive(sock: socket.socket, flags: int = 0) -> tuple[int, bytes, bytes, list[int]] | None:
    """Read one frame of a packet socket with the descriptors behind it; None at the end of the file."""
    try:
        data, ancillary, _, _ = sock.recvmsg(RECEIVE, _ANCILLARY, flags | _RECEIVE_FLAGS)
    except ConnectionResetError:
        # The peer was killed before it had read all that we sent.
        return None
    if not data:
        return None
    fds = _descriptors(ancillary) if ancillary else []
    try:
        kind, header_size, body_size = _prefix(data)
        if kind & BY_MEMFD:
            if not fds:
                raise ProtocolError("a frame by memfd came without its descriptor")
            header, body = _from_memfd(fds.pop(0), header_size, body_size)
            return kind & ~BY_MEMFD, header, body, fds
        middle = PREFIX_SIZE + header_size
        if len(data) != middle + body_size:
            raise ProtocolError("a frame's lengths do not add up")
    except ProtocolError:
        close_all(fds)
        raise
    return kind, data[PREFIX_SIZE:middle], data[middle:], fds


def receive_inline(sock: socket.socket, flags: int = 0) -> Frame | None:
    """As ``receive``, for a frame that has no descriptors: half the cost, once a job in every child."""
    try:
        data = sock.recv(RECEIVE, flags)
    except ConnectionResetError:
        return None
    if not data:
        return None
    kind, header_size, body_size = _unpack_prefix(data)
    middle = PREFIX_SIZE + header_size
    if kind & BY_MEMFD or len(data) != middle + body_size:
        raise ProtocolError("a frame by memfd came without a word before, or its lengths do not add up")
    return kind, data[PREFIX_SIZE:middle], data[middle:]


def head(data: bytes) -> tuple[int, bytes]:
    """Kind and header of a frame that may travel by memfd: then the header is not in it."""
    kind, header_size, _ = _unpack_prefix(data)
    return kind, data[PREFIX_SIZE : PREFIX_SIZE + header_size]


def receive_bytes(sock: socket.socket, flags: int = 0) -> tuple[bytes, list[int]]:
    """One recvmsg: bytes (empty at the end of the file) and the descriptors that came with them."""
    try:
        data, ancillary, _, _ = sock.recvmsg(RECEIVE, _ANCILLARY, flags | _RECEIVE_FLAGS)
    except ConnectionResetError:
        # The peer was killed before it had read all that we sent.
        return b"", []
    return data, _descriptors(ancillary) if ancillary else []


def _descriptors(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    fds = array("i")
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(content[: len(content) - len(content) % fds.itemsize])
    return fds.tolist()


def close_all(fds: Sequence[int]) -> None:
    """Close descriptors that nobody will use."""
    for fd in fds:
        os.close(fd)


class Decoder:
    """Cuts one stream into frames, however the kernel cut its bytes.

    The kernel never glues two sets of descriptors into one read, so they are taken in order.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._fds: deque[int] = deque()

    def feed(self, data: bytes, fds: Sequence[int] = ()) -> list[Frame]:
        """Return the frames that are complete with ``data``; keep the rest."""
        self._fds.extend(fds)
        if self._rest:
            data = self._rest + data
        frames: list[Frame] = []
        position, size = 0, len(data)
        while size - position >= PREFIX_SIZE:
            kind, header_size, body_size = _unpack_prefix(data, position)
            start = position + PREFIX_SIZE
            if kind & BY_MEMFD:
                frames.append((kind & ~BY_MEMFD, *self._take_memfd(header_size, body_size)))
                position = start
                continue
            if header_size + body_size > INLINE:
                raise _too_large(header_size, body_size)
            middle = start + header_size
            end = middle + body_size
            if end > size:
                break
            frames.append((kind, data[start:middle], data[middle:end]))
            position = end
        self._rest = data[position:]
        return frames

    def close(self) -> None:
        """Forget what is incomplete."""
        close_all(self._fds)
        self._fds.clear()
        self._rest = b""

    def _take_memfd(self, header_size: int, body_size: int) -> tuple[bytes, bytes]:
        if not self._fds:
            raise ProtocolError("a frame by memfd came without its descriptor")
        return _from_memfd(self._fds.popleft(), header_size, body_size)


def _prefix(data: bytes) -> tuple[int, int, int]:
    try:
        kind, header_size, body_size = _unpack_prefix(data)
    except struct.error:
        raise ProtocolError("a frame is shorter than its prefix") from None
    if header_size + body_size > INLINE and not kind & BY_MEMFD:
        raise _too_large(header_size, body_size)
    return kind, header_size, body_size


def _too_large(header_size: int, body_size: int) -> ProtocolError:
    return ProtocolError(f"a frame claims {header_size} + {body_size} bytes inline")


def _send_with(sock: socket.socket, data: bytes, fds: Sequence[int]) -> None:
    rights: list[tuple[int, int, Any]] = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", fds))]
    sent = sock.sendmsg([data], rights)
    if sent < len(data):
        # A stream may take less than all; the descriptors went with the first byte.
        sock.sendall(data[sent:])


def _memfd(header: bytes, body: bytes) -> int:
    fd = os.memfd_create("workerd-frame", os.MFD_CLOEXEC)
    try:
        for part in (header, body):
            view = memoryview(part)
            while view:
                view = view[os.write(fd, view) :]
    except BaseException:
        os.close(fd)
        raise
    return fd


def _from_memfd(fd: int, header_size: int, body_size: int) -> tuple[bytes, bytes]:
    try:
        # pread and not mmap: a sender that truncates the file makes a short read, not SIGBUS.
        return _pread(fd, header_size, 0), _pread(fd, body_size, header_size)
    finally:
        os.close(fd)


def _pread(fd: int, size: int, offset: int) -> bytes:
    if os.fstat(fd).st_size < offset + size:
        raise ProtocolError("a memfd is shorter than its frame says")
    parts: list[bytes] = []
    while size:
        part = os.pread(fd, size, offset)
        if not part:
            raise ProtocolError("a memfd shrank while it was read")
        parts.append(part)
        offset, size = offset + len(part), size - len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)
