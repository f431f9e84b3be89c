"""One client of the control socket: requests in, answers out, a line of JSON each.

It never blocks the loop and is bounded in all it holds: a line, the answers not yet read, and the time
that a client may take for either.  One request is answered before the next one is looked at.  A
client may close its sending half and still gets its answer.

Units: bytes, seconds.
"""

from __future__ import annotations

import logging
import os
import select
import socket
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from workerd.control.daemon import Fact
from workerd.control.peer import Peer
from workerd.control.registry import Call, Reply
from workerd.errors import UsageError, WorkerdError
from workerd.transport.loop import Cancelable, Loop

log = logging.getLogger(__name__)

MAX_LINE = 1024 * 1024
MAX_UNREAD = 4 * 1024 * 1024
PATIENCE = 30.0
_CHUNK = 65536


class LineReply(Reply):
    """The answer to one request; what comes after its last word is dropped."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._callbacks: list[Callable[[], object]] = []
        self.ended = False

    def event(self, fact: Fact) -> None:
        if not self.ended:
            self._connection.send(fact)

    def answer(self, value: Mapping[str, Any]) -> None:
        self._last({"ok": True, "value": value})

    def fail(self, error: WorkerdError, traceback: str = "") -> None:
        line = {"ok": False, "error": error.what, "hint": error.hint, "code": int(error.exit_code)}
        self._last(line | ({"traceback": traceback} if traceback else {}))

    def on_end(self, callback: Callable[[], object]) -> None:
        if self.ended:
            callback()
        else:
            self._callbacks.append(callback)

    def end(self) -> None:
        """No more: it has been answered, or its client has gone."""
        self.ended = True
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()

    def _last(self, line: Mapping[str, Any]) -> None:
        if not self.ended:
            self.end()
            self._connection.send(line)
            self._connection.answered(self)


class Connection:
    """A client from ``accept`` to ``close``.

    ``run(call, reply)`` is given each request; ``on_closed(connection)`` is called once.
    """

    def __init__(
        self,
        loop: Loop,
        sock: socket.socket,
        peer: Peer,
        run: Callable[[Call, Reply], None],
        on_closed: Callable[[Connection], None],
    ) -> None:
        self.peer = peer
        self._loop, self._sock, self._run, self._on_closed = loop, sock, run, on_closed
        self._received, self._unsent = bytearray(), bytearray()
        self._reply: LineReply | None = None
        self._reading = self._closing = self._closed = self._in_next = False
        self._writer: int | None = None
        self._deadline: Cancelable | None = None

    def start(self) -> None:
        self._sock.setblocking(False)
        self._loop.add_reader(self._sock.fileno(), self._readable)
        self._reading = True
        self._wait_for_client()

    def send(self, line: Mapping[str, Any]) -> None:
        """Send now what the client's socket takes, and the rest as it reads."""
        if self._closed:
            return
        self._unsent += msgspec.json.encode(line, enc_hook=str) + b"\n"
        if self._writer is None:
            self._flush()
        if len(self._unsent) > MAX_UNREAD:
            self._cut_off(f"it left {len(self._unsent)} bytes unread")

    def answered(self, reply: LineReply) -> None:
        """``reply`` has been sent: look at the next request."""
        if self._reply is reply:
            self._reply = None
            self._next()

    def refuse(self, error: WorkerdError) -> None:
        """Answer with ``error``, then close."""
        self._closing = True
        LineReply(self).fail(error)
        self._close_if_done()

    def finish(self, within: float) -> None:
        """Send what is left, for at most ``within`` seconds, then close.  Blocks; for the daemon's end."""
        if self._unsent and not self._closed:
            self._sock.settimeout(within)
            try:
                self._sock.sendall(self._unsent)
            except OSError as exc:
                log.debug("control client (%s) did not take its last answer: %s", self.peer, exc)
        self.close()

    def close(self) -> None:
        """Forget the client.  May be called twice."""
        if self._closed:
            return
        self._closed = True
        self._stop_reading()
        self._stop_writing()
        if self._deadline is not None:
            self._deadline.cancel()
        self._sock.close()
        if self._reply is not None:
            self._reply.end()
        self._on_closed(self)

    def _readable(self) -> None:
        try:
            data = self._sock.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError as exc:
            self._cut_off(str(exc))
            return
        if data:
            self._received += data
            self._next()
            return
        self._stop_reading()
        self._closing = True
        if self._hung_up():
            self.close()
        else:
            self._next()

    def _next(self) -> None:
        if self._in_next:  # a handler that answers at once comes back here
            return
        self._in_next = True
        try:
            while self._reply is None and not self._closed:
                line, newline, rest = self._received.partition(b"\n")
                if not newline:
                    break
                self._received = rest
                self._take(bytes(line))
        finally:
            self._in_next = False
        if len(self._received) > MAX_LINE and not self._closed:
            self._stop_reading()
            self._received.clear()
            self.refuse(UsageError(f"a request has more than {MAX_LINE} bytes", "send less"))
        self._close_if_done()
        self._wait_for_client()

    def _take(self, line: bytes) -> None:
        reply = self._reply = LineReply(self)
        try:
            call = msgspec.json.decode(line, type=Call)
        except (msgspec.DecodeError, UnicodeDecodeError) as exc:
            hint = 'send {"command": "ping", "args": {}} and a newline'
            reply.fail(UsageError(f"the request cannot be read: {exc}", hint))
            return
        self._run(call, reply)

    def _flush(self) -> None:
        try:
            sent = self._sock.send(self._unsent)
        except BlockingIOError:
            sent = 0
        except OSError as exc:
            self._cut_off(str(exc))
            return
        del self._unsent[:sent]
        if self._unsent and self._writer is None:
            self._writer = os.dup(self._sock.fileno())
            self._loop.add_writer(self._writer, self._flush)
        elif not self._unsent:
            self._stop_writing()
            self._close_if_done()
        if sent:
            self._wait_for_client()

    def _wait_for_client(self) -> None:
        """Give the client ``PATIENCE`` where the next move is its own."""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if not self._closed and (self._unsent or self._reply is None):
            self._deadline = self._loop.call_later(PATIENCE, self._cut_off, f"silent for {PATIENCE:.0f} s")

    def _close_if_done(self) -> None:
        if self._closing and self._reply is None and not self._unsent:
            self.close()

    def _cut_off(self, reason: str) -> None:
        log.debug("control client (%s) cut off: %s", self.peer, reason)
        self.close()

    def _hung_up(self) -> bool:
        """True when the client has closed both directions, False when only its sending one."""
        poller = select.poll()
        poller.register(self._sock.fileno(), 0)
        return any(event & select.POLLHUP for _, event in poller.poll(0))

    def _stop_reading(self) -> None:
        if self._reading:
            self._reading = False
            self._loop.remove_reader(self._sock.fileno())

    def _stop_writing(self) -> None:
        if self._writer is not None:
            self._loop.remove_writer(self._writer)
            os.close(self._writer)
            self._writer = None
