"""Who is at the other end of a unix socket, as the kernel says (SO_PEERCRED, SO_PEERGROUPS)."""

from __future__ import annotations

import os
import socket
import struct

import msgspec

_UCRED = struct.Struct("iII")  # pid, uid, gid
_PEERGROUPS = 59  # asm-generic/socket.h; the socket module has no name for it
_MAX_GROUPS = 4096  # bytes: 1,024 groups


class Peer(msgspec.Struct, frozen=True):
    """A process that connected, with its rights at that moment."""

    pid: int
    uid: int
    groups: frozenset[int]

    def may_ask(self, uid: int, gid: int) -> bool:
        """True for root, the daemon's own user and members of the socket's group."""
        return self.uid in (0, uid) or gid in self.groups

    def __str__(self) -> str:
        return f"pid {self.pid}, uid {self.uid}"


def peer_of(sock: socket.socket) -> Peer:
    """The peer of a connected unix socket."""
    pid, uid, gid = _UCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    return Peer(pid, uid, frozenset({gid, *_groups(sock)}))


def own_rights(path: os.PathLike[str]) -> tuple[int, int]:
    """(uid of this process, group of the socket at ``path``): what ``may_ask`` is given."""
    return os.geteuid(), os.stat(path).st_gid  # noqa: PTH116 - one call, on a path that is a socket


def _groups(sock: socket.socket) -> tuple[int, ...]:
    try:
        raw = sock.getsockopt(socket.SOL_SOCKET, _PEERGROUPS, _MAX_GROUPS)
    except OSError:
        return ()  # more groups than fit; the file's mode has let it in, its main group decides
    return struct.unpack(f"{len(raw) // 4}I", raw)
