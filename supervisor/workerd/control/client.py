"""The control socket seen from outside; standard library only, so that ``workerd status`` is quick.

Units: seconds.
Errors: UnavailableError when no daemon answers, PermissionDeniedError, AnswerError with what the daemon
said; all carry the exit code of the command line.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from workerd.errors import ExitCode, PermissionDeniedError, UnavailableError, WorkerdError
from workerd.paths import DEFAULT_NAME

_CONNECT_TIMEOUT = 5.0


class AnswerError(WorkerdError):
    """The daemon's own answer that it cannot; ``traceback`` is the app's, as text."""

    def __init__(self, what: str, hint: str, code: int, traceback: str) -> None:
        super().__init__(what, hint)
        self.exit_code = ExitCode(code)
        self.traceback = traceback


class HungUpError(UnavailableError):
    """The daemon ended the connection before its answer."""


class Stream:
    """The facts of one request, in order; ``value`` is the answer once they have all been read."""

    def __init__(self, sock: socket.socket) -> None:
        self.value: dict[str, Any] = {}
        self._sock = sock

    def __iter__(self) -> Iterator[dict[str, Any]]:
        with self._sock, self._sock.makefile("rb") as lines:
            while line := self._next(lines):
                message = json.loads(line)
                if "ok" in message:
                    self.value = _value(message)
                    return
                yield message
        raise HungUpError("the daemon closed the connection before its answer", "see its log")

    def _next(self, lines: Any) -> bytes:
        try:
            line: bytes = lines.readline()
        except TimeoutError as exc:
            seconds = self._sock.gettimeout()
            raise UnavailableError(
                f"the daemon did not answer within {seconds:.0f} s", "see its log"
            ) from exc
        except ConnectionError:
            return b""
        return line if line.endswith(b"\n") else b""


class ControlClient:
    """Asks the daemon behind the socket at ``path``; each call is a connection of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def call(self, command: str, *, patience: float = 30.0, **args: Any) -> dict[str, Any]:
        """The daemon's answer, within ``patience`` seconds."""
        stream = Stream(self._send(command, args, stream=False, patience=patience))
        for _ in stream:
            continue
        return stream.value

    def stream(self, command: str, *, patience: float | None = None, **args: Any) -> Stream:
        """Facts until the answer; ``patience`` limits the silence between two of them."""
        return Stream(self._send(command, args, stream=True, patience=patience))

    def _send(
        self, command: str, args: dict[str, Any], *, stream: bool, patience: float | None
    ) -> socket.socket:
        sock = self._connect()
        sock.settimeout(patience)
        line = json.dumps({"command": command, "args": args, "stream": stream}) + "\n"
        # A daemon that refuses may have closed its end already; what it said can still be read.
        with suppress(ConnectionError):
            sock.sendall(line.encode())
        return sock

    def _connect(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(_CONNECT_TIMEOUT)
        try:
            sock.connect(os.fspath(self.path))
        except OSError as exc:
            sock.close()
            raise self._explained(exc) from exc
        return sock

    def _explained(self, exc: OSError) -> WorkerdError:
        name = self.path.parent.name
        if isinstance(exc, PermissionError):
            return PermissionDeniedError(
                f"this user may not talk to the daemon {name!r} ({self.path})", "run as its user, or as root"
            )
        if isinstance(exc, (FileNotFoundError, NotADirectoryError)):
            why = f"no socket at {self.path}"
        elif isinstance(exc, ConnectionRefusedError):
            why = f"nothing listens at {self.path}"
        else:
            return UnavailableError(
                f"the daemon {name!r} does not answer at {self.path}: {exc}", "see its log"
            )
        flag = "" if name == DEFAULT_NAME else f" --name {name}"
        return UnavailableError(
            f"no daemon named {name!r} runs ({why})", f"start it with `workerd -A APP start{flag}`"
        )


def _value(message: dict[str, Any]) -> dict[str, Any]:
    if message["ok"]:
        value: dict[str, Any] = message["value"]
        return value
    raise AnswerError(
        str(message["error"]),
        str(message.get("hint", "")),
        int(message.get("code", ExitCode.FAILED)),
        str(message.get("traceback", "")),
    )
