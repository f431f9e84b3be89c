"""``RedisLink``: one connection to a Redis server, driven by the hub, never waiting.

``connect`` opens the connection under a timeout and blocks; ``open`` does it in the loop.  After that only
this class reads and writes the socket.  Replies come in the order of the commands, and a group of these has
one callback.  Errors of single commands are values among the replies (``ReplyError``); only the loss of the
link is told through ``on_lost``.

Units:   seconds.
Errors:  UnavailableError from ``connect``, ``open`` and ``drain`` alone.
"""

from __future__ import annotations

import os
import select
import socket
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import hiredis

from workerd.errors import UnavailableError
from workerd.transport.address import RedisAddress
from workerd.transport.grouping import Gathering, Group
from workerd.transport.health import DEADLINE, HealthCheck
from workerd.transport.loop import Cancelable, Loop
from workerd.transport.opening import Opening, greeting, hang_up
from workerd.transport.plain import open_plain
from workerd.transport.refusals import refusal

Word = str | bytes | int | float
Command = tuple[Word, ...]
Replies = Callable[[list[Any]], object]
ReplyError = hiredis.ReplyError

PROTOCOL_ERROR = "ERR Protocol error"
"""How a server begins the last word to a client whose command it cannot read, or finds too large."""

READ_SIZE = 256 * 1024
_AGAIN = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
_NOTHING = object()
_pack: Callable[..., bytes] = hiredis.pack_command  # its own type admits one word only


class RedisLink:
    """A link is used once: after its loss, make another."""

    def __init__(
        self,
        loop: Loop,
        address: RedisAddress,
        *,
        on_lost: Callable[[str], object],
        on_push: Callable[[list[Any]], object] | None = None,
        patience: float = DEADLINE,
    ) -> None:
        """``patience`` is how long a silent peer is taken for a living one."""
        self.address = address
        self.protocol = 2
        self._loop, self._on_lost, self._on_push = loop, on_lost, on_push
        self._opening: Opening | None = None
        self._deadline: Cancelable | None = None  # of the opening
        self._ready: Callable[[], object] | None = None  # told once the server has answered the greeting
        self._hang_up: Callable[[], object] | None = None
        self._sock: socket.socket | None = None
        self._write_fd = -1
        self._writing = False  # the hub watches _write_fd
        self._gathering = Gathering(self._flush)
        self._out = bytearray()
        self._in = bytearray(READ_SIZE)  # else the kernel maps, moves and unmaps memory for each read
        self._waiting: deque[Group] = deque()
        self._reader = hiredis.Reader(notEnoughData=_NOTHING)
        self._health = HealthCheck(loop, self, patience)

    @property
    def up(self) -> bool:
        """The server has taken us in, and the link is not lost."""
        return self._sock is not None and self._ready is None

    @property
    def busy(self) -> bool:
        """True while replies are due."""
        return bool(self._waiting)

    def connect(self, timeout: float = 5.0) -> None:
        """Open the connection and join the loop; blocks, each step of it for ``timeout`` at most."""
        if self.address.tls is None:
            sock, self.protocol = open_plain(self.address, timeout)
            self._join(sock, partial(hang_up, sock))
        else:
            from workerd.transport.blocking import open_blocking  # noqa: PLC0415 (redis-py, for TLS alone)

            opener, self.protocol = open_blocking(self.address, timeout)
            self._join(opener._sock, opener.disconnect)  # there is no public way
        self._health.start()

    def open(self, timeout: float, on_up: Callable[[], object]) -> None:
        """Open the connection in the loop: ``on_up`` within ``timeout``, or else ``on_lost``.

        A TLS handshake blocks, as ``connect`` does.
        """
        if self.address.tls is not None:
            self.connect(timeout)
            self._loop.call_soon(lambda: on_up() if self.up else None)
            return
        self._ready = on_up
        self._opening = Opening(self._loop, self.address, self._opened, self.lose)
        self._opening.start()
        self._deadline = self._loop.call_later(
            timeout, self.lose, f"cannot connect to {self.address.shown}: no answer within {timeout:g} s"
        )

    def send(self, commands: Sequence[Command], then: Replies | None = None) -> None:
        """Send ``commands``; ``then(replies)`` once all are answered, never if the link is lost before."""
        if self._sock is None or not commands:
            return
        for command in commands:
            self._out += _pack(command)
        self._waiting.append(Group(len(commands), then))
        if not self._gathering.depth:
            self._flush()

    def together(self) -> AbstractContextManager[None]:
        """What is sent within goes out in one write."""
        return self._gathering

    def drain(self, patience: float = 5.0) -> None:
        """Block until every reply has come, also those to what the callbacks send; for start-up only.

        Raises UnavailableError when the server is silent for ``patience`` seconds.  A link that is
        lost meanwhile is told through ``on_lost``, as ever.
        """
        while self._sock is not None and self._waiting:
            writers = [self._sock] if self._out else []
            readable, writable, _ = select.select([self._sock], writers, [], patience)
            if not readable and not writable:
                raise UnavailableError(f"{self.address.shown} gave no answer for {patience:g} s")
            if writable:
                self._write()
            self.read()

    def close(self) -> None:
        """Leave, without a word to ``on_lost``; what was sent still arrives.  May be called twice."""
        if self._deadline is not None:
            self._deadline.cancel()
        if self._opening is not None:
            self._opening.close()
            self._opening = None
        if self._sock is None:
            return
        self._health.stop()
        self._loop.remove_reader(self._sock.fileno())
        if self._writing:
            self._loop.remove_writer(self._write_fd)
        os.close(self._write_fd)
        self._sock = None
        self._waiting.clear()
        if self._hang_up is not None:
            self._hang_up()

    def lose(self, reason: str) -> None:
        """Close and tell ``on_lost``, unless the link is closed already."""
        if self._sock is not None or self._opening is not None:
            self.close()
            self._on_lost(reason)

    def read(self) -> None:
        """Take what has come and answer the callbacks that are due."""
        while self._sock is not None:
            try:
                size = self._sock.recv_into(self._in)
            except _AGAIN:
                return
            except OSError as exc:
                self.lose(f"reading from {self.address.shown} failed: {exc}")
                return
            if not size:
                self.lose(f"{self.address.shown} closed the connection")
                return
            self._health.heard()
            self._reader.feed(self._in, 0, size)  # type: ignore[arg-type]  # takes any buffer
            self._answer()
            # TLS may hold decrypted bytes that no poll would tell of.
            if size < READ_SIZE and not isinstance(self._sock, ssl.SSLSocket):
                return

    def _opened(self, sock: socket.socket) -> None:
        self._opening = None
        self._join(sock, partial(hang_up, sock))
        self._greet(3)

    def _greet(self, protocol: int) -> None:
        self.protocol = protocol
        # The PING is an answer also where nothing else is to be said.
        self.send([*greeting(self.address, protocol), ("PING",)], self._greeted)

    def _greeted(self, replies: list[Any]) -> None:
        if self.protocol == 3 and isinstance(replies[0], ReplyError):
            # A server before 6.0, or one whose ACL refuses HELLO.
            self._greet(2)
        elif (refused := error_in(replies[:-1])) is not None:
            self.lose(refusal(self.address.shown, refused))
        else:
            assert self._ready is not None and self._deadline is not None
            self._deadline.cancel()
            self._health.start()
            ready, self._ready = self._ready, None
            ready()

    def _join(self, sock: socket.socket, hang_up: Callable[[], object]) -> None:
        sock.setblocking(False)
        self._sock, self._write_fd, self._hang_up = sock, os.dup(sock.fileno()), hang_up
        self._loop.add_reader(sock.fileno(), self.read)

    def _answer(self) -> None:
        try:
            while self._sock is not None and (reply := self._reader.gets()) is not _NOTHING:
                self._take(reply)
        except hiredis.ProtocolError as exc:
            self.lose(f"{self.address.shown} does not speak RESP: {exc}")
        except BaseException:
            # The hub reports what a callback raised; the replies behind it must not wait for more bytes.
            self._loop.call_soon(self._answer)
            raise

    def _take(self, reply: Any) -> None:
        if isinstance(reply, hiredis.PushNotification):
            if self._on_push is not None:
                self._on_push(reply)
            return
        if isinstance(reply, ReplyError) and str(reply).startswith(PROTOCOL_ERROR):
            # It reads nothing more, so the other replies that are due will not come.
            self.lose(refusal(self.address.shown, reply))
            return
        if not self._waiting:
            self.lose(f"{self.address.shown} answered what was not asked: {reply!r}")
            return
        group = self._waiting[0]
        group.replies.append(reply)
        if len(group.replies) == group.size:
            self._waiting.popleft()
            if group.then is not None:
                group.then(group.replies)

    def _flush(self) -> None:
        if not self._writing:
            self._write()

    def _write(self) -> None:
        while self._out and self._sock is not None:
            try:
                sent = self._sock.send(self._out)
            except _AGAIN:
                break
            except OSError as exc:
                self._out.clear()
                # Never from inside the caller's own call.
                self._loop.call_soon(self._hung_up, f"writing to {self.address.shown} failed: {exc}")
                break
            del self._out[:sent]
        if self._writing is not bool(self._out):
            self._watch(not self._writing)

    def _hung_up(self, reason: str) -> None:
        self.read()  # its last words may say why
        self.lose(reason)

    def _watch(self, wanted: bool) -> None:
        if self._sock is None:
            return
        self._writing = wanted
        if wanted:
            self._loop.add_writer(self._write_fd, self._write)
        else:
            self._loop.remove_writer(self._write_fd)


def error_in(replies: Sequence[Any]) -> ReplyError | None:
    """The first error among ``replies``, also within the answer of an EXEC."""
    for reply in replies:
        if isinstance(reply, ReplyError):
            return reply
        if isinstance(reply, list) and (nested := error_in(reply)) is not None:
            return nested
    return None
