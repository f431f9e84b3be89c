"""``ControlServer``: the unix socket on which a daemon answers its operators.

Mode 0660: the daemon's user and its group may ask, and root.  The caller holds the daemon's
``NameLock``, so a socket file that is there already is a dead daemon's and is replaced.

Errors: TakenError when something else than a socket is in the place; PermissionDeniedError.
"""

from __future__ import annotations

import errno
import logging
import os
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from workerd.control.connection import Connection
from workerd.control.daemon import Daemon
from workerd.control.peer import own_rights, peer_of
from workerd.control.registry import Call, Registry, Reply
from workerd.errors import ConfigError, PermissionDeniedError, TakenError, UnavailableError
from workerd.transport.loop import Cancelable, Loop

log = logging.getLogger(__name__)

MAX_CLIENTS = 64
_LAST_WORDS = 0.5  # seconds for the answers that are on their way when the daemon ends
_OUT_OF_FDS = 1.0  # seconds until the next accept after EMFILE; the listener stays ready meanwhile


class ControlServer:
    """Listens from ``start`` to ``close``; both may be called at any time, twice too."""

    def __init__(self, loop: Loop, path: Path, registry: Registry, daemon: Daemon) -> None:
        self.path = path
        self.incarnation = uuid4().hex[:12]
        self._loop, self._registry, self._daemon = loop, registry, daemon
        self._listener: socket.socket | None = None
        self._inode = 0
        self._pause: Cancelable | None = None
        self._connections: set[Connection] = set()

    def start(self) -> None:
        if self._listener is not None:
            return
        self._clear_place()
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with _mode_0660():
                listener.bind(os.fspath(self.path))
            listener.listen(MAX_CLIENTS)
        except PermissionError as exc:
            listener.close()
            raise PermissionDeniedError(
                f"cannot make the socket {self.path}", "run as the user that owns its directory"
            ) from exc
        except OSError as exc:
            listener.close()
            raise ConfigError(
                f"cannot make the socket {self.path}: {exc}", "check WORKERD_RUNTIME_DIR"
            ) from exc
        listener.setblocking(False)
        self._inode = self.path.stat().st_ino
        self._listener = listener
        self._loop.add_reader(listener.fileno(), self._accept)

    def close(self) -> None:
        """Stop listening, send the last answers (at most 0.5 s for all), close every client."""
        if self._listener is not None:
            self._stop_accepting()
            self._listener.close()
            self._listener = None
            if self.path.exists() and self.path.stat().st_ino == self._inode:
                self.path.unlink()
        deadline = time.monotonic() + _LAST_WORDS
        for connection in list(self._connections):
            connection.finish(max(deadline - time.monotonic(), 0.0))

    def _clear_place(self) -> None:
        try:
            mode = self.path.lstat().st_mode
        except FileNotFoundError:
            return
        if not stat.S_ISSOCK(mode):
            raise TakenError(f"{self.path} is not a socket", "move it away")
        # The name's lock is ours, so no daemon of ours listens there; whoever does is somebody else.
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.setblocking(False)
            try:
                probe.connect(os.fspath(self.path))
            except OSError:
                self.path.unlink()
                return
            holder = peer_of(probe)
        raise TakenError(
            f"socket {self.path} is in use by another program ({holder})", "end it, or choose another --name"
        )

    def _accept(self) -> None:
        while self._listener is not None:
            try:
                sock, _ = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as exc:
                if exc.errno in (errno.EMFILE, errno.ENFILE):
                    self._wait_for_fds(exc)
                    return
                log.debug("control client left before it was accepted: %s", exc)
                continue
            self._welcome(sock)

    def _welcome(self, sock: socket.socket) -> None:
        peer = peer_of(sock)
        connection = Connection(self._loop, sock, peer, self._run, self._connections.discard)
        full = len(self._connections) >= MAX_CLIENTS
        self._connections.add(connection)
        connection.start()
        if not peer.may_ask(*own_rights(self.path)):
            log.warning("control client refused: %s", peer)
            connection.refuse(
                PermissionDeniedError(f"uid {peer.uid} may not ask this daemon", "ask as its user")
            )
        elif full:
            connection.refuse(
                UnavailableError(f"the daemon serves {MAX_CLIENTS} clients already", "try again")
            )
        else:
            log.debug("control client: %s", peer)

    def _run(self, call: Call, reply: Reply) -> None:
        log.debug("control command: %s %s", call.command, call.args)
        self._registry.run(self._daemon, call, self.incarnation, reply)

    def _wait_for_fds(self, exc: OSError) -> None:
        log.warning("the control socket takes no client for %.0f s: %s", _OUT_OF_FDS, exc)
        self._stop_accepting()
        self._pause = self._loop.call_later(_OUT_OF_FDS, self._accept_again)

    def _accept_again(self) -> None:
        self._pause = None
        if self._listener is not None:
            self._loop.add_reader(self._listener.fileno(), self._accept)

    def _stop_accepting(self) -> None:
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None
        elif self._listener is not None:
            self._loop.remove_reader(self._listener.fileno())


@contextmanager
def _mode_0660() -> Iterator[None]:
    # The umask is the process's, and a supervisor has one thread: no other file is made meanwhile.
    before = os.umask(0o117)
    try:
        yield
    finally:
        os.umask(before)
