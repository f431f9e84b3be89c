"""``workerd start --detach``: a daemon of its own session, and a command that waits until it serves.

python-daemon detaches.  What its defaults would do is said here: the file mode mask is 027, core dumps are
left alone, no signal is touched, the directory stays, and the one descriptor that is needed is kept.

The command learns the daemon's pid and its exit code through a pipe, whose end it also sees when the daemon
is killed; whether it serves it asks on the control socket, as ``workerd status`` does.
"""

from __future__ import annotations

import os
import select
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import click
import daemon

from workerd.cli import output
from workerd.control.client import ControlClient
from workerd.errors import ConfigError, ExitCode, PermissionDeniedError, WorkerdError
from workerd.paths import control_socket, ensure_dir, state_dir

LOOK = 0.05
"""Seconds between two looks at a daemon that is about to serve."""
TOLD = 40
"""Lines of its log that are shown of a start that has failed."""
UMASK = 0o027

_ELSEWHERE = "name another file with --logfile"


def open_log(file: Path) -> IO[bytes]:
    """The file that takes what a detached daemon writes.  Errors: PermissionDeniedError, ConfigError."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
    except PermissionError as exc:
        raise PermissionDeniedError(f"cannot write the log {file}: {exc.strerror}", _ELSEWHERE) from exc
    except OSError as exc:
        raise ConfigError(f"cannot write the log {file}: {exc.strerror}", _ELSEWHERE) from exc
    return os.fdopen(fd, "ab", buffering=0)


def detached(name: str, log: Path, run: Callable[[], int]) -> int:
    """Run ``run`` in a daemon; in the command, return 0 when it serves, else its exit code.

    Returns twice: in the daemon, with the exit code of ``run``.
    """
    ensure_dir(state_dir(name))
    out = open_log(log)
    begin = out.seek(0, os.SEEK_END)
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read)
        _detach(out, write)
        return _told(write, run)
    os.close(write)
    os.waitpid(pid, 0)
    with os.fdopen(read, "rb", buffering=0) as pipe:
        code = _Start(name, pipe).code()
    if code != ExitCode.OK:
        output.tell(_said(log, begin))
    return code


def _detach(out: IO[bytes], write: int) -> None:
    daemon.DaemonContext(
        working_directory=str(Path.cwd()),
        umask=UMASK,
        prevent_core=False,
        detach_process=True,
        files_preserve=[write],
        signal_map={},
        stdout=out,
        stderr=out,
    ).open()


def _told(write: int, run: Callable[[], int]) -> int:
    """The daemon's life, between its pid and its exit code."""
    _tell(write, f"pid {os.getpid()}\n")
    code: int = ExitCode.BUG
    try:
        code = run()
    finally:
        _tell(write, f"code {code}\n")
    return code


def _tell(write: int, word: str) -> None:
    with suppress(BrokenPipeError):  # the command was ended, or knows enough
        os.write(write, word.encode())


class _Start:
    """What the command waits for."""

    def __init__(self, name: str, pipe: IO[bytes]) -> None:
        self._name, self._pipe = name, pipe
        self._client = ControlClient(control_socket(name))
        self._facts: dict[str, int] = {}
        self._rest = b""

    def code(self) -> int:
        """0 when the daemon serves or waits for its broker; else its exit code, 1 if it was killed."""
        while True:
            if not self._listen():
                return self._facts.get("code", ExitCode.FAILED)
            if (found := self._status()) is not None and found["state"] == "running":
                link = found["link"]
                if found["ready"] or link["reason"]:
                    away = "" if found["ready"] else f"; no link to the broker yet: {link['reason']}"
                    click.echo(f"{found['node']} runs, pid {found['pid']}{away}")
                    return ExitCode.OK

    def _listen(self) -> bool:
        """Whether the daemon lives, having waited a moment for its words."""
        if not select.select([self._pipe], [], [], LOOK)[0]:
            return True
        if not (data := self._pipe.read(4096)):
            return False
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            word, _, number = line.decode().partition(" ")
            self._facts[word] = int(number)
        return True

    def _status(self) -> dict[str, Any] | None:
        """Of this daemon, not of another that has its name already."""
        try:
            found = self._client.call("status", patience=5.0)
        except WorkerdError:
            return None
        return found if found["pid"] == self._facts.get("pid") else None


def _said(log: Path, begin: int) -> str:
    """The last lines that stand in the log since the start."""
    with suppress(OSError), log.open("rb") as file:
        file.seek(begin)
        lines = file.read().decode("utf-8", "replace").rstrip().splitlines()
        more = [f"... {len(lines) - TOLD} lines before stand in {log}"] if len(lines) > TOLD else []
        return "\n".join(more + lines[-TOLD:])
    return f"see {log}"
