"""Start one server process on a locked data directory, and see it end.

Units: seconds.
"""

from __future__ import annotations

import fcntl
import os
import re
import select
import shutil
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

FOR_THE_SUPERVISOR = frozenset(
    (signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP, signal.SIGTTIN, signal.SIGTTOU, signal.SIGUSR2)
)
"""Blocked in the programs beside the supervisor: whoever signals all processes at once, as systemd does,
means the daemon, and the server must serve until the supervisor has drained.  INT is left to the supervisor,
and to the kernel for the supervisor's death; USR1, because the server ends a process of its own with it."""

KILLED = 1.0
"""For a process that has been killed to be gone."""

LOG_NAME = "valkey.log"

ROOM = 1 << 20
"""Bytes; with less of them on its disk a server starts nowhere, and its log ends before it says so."""

_PREFIX = re.compile(r"\d+:[A-Z] \d+ \w+ \d+ [\d:.]+ \S ")  # "812:M 24 May 2025 09:12:44.871 # "

# What an operator may have set to be ignored must not be ignored by the server.
_TO_DEFAULT = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE, signal.SIGCHLD)


def lock(data_dir: Path) -> int | None:
    """A descriptor that holds the lock of ``data_dir``, or None while a server runs there."""
    fd = os.open(data_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    return fd


def spawn(binary: Path, data_dir: Path, socket: Path, locked: int) -> int:
    """Start the server, which inherits the lock ``locked``; its pid.

    It leads a process group of its own, so that Ctrl-C in a terminal does not stop it before its clients.
    """
    argv = bound_to_us([str(binary), *arguments(data_dir, socket)])
    os.set_inheritable(locked, True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    return os.posix_spawn(
        sys.executable,
        argv,
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(data_dir / LOG_NAME), flags, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setpgroup=0,
        setsigmask=FOR_THE_SUPERVISOR,
        setsigdef=_TO_DEFAULT,
    )


def bound_to_us(argv: Sequence[str]) -> list[str]:
    """``argv``, started by this thread, as a process that gets INT when it ends, and hears no TERM."""
    launcher = Path(__file__).with_name("launcher.py")
    return [sys.executable, "-I", "-S", str(launcher), str(os.getpid()), *argv]


def arguments(data_dir: Path, socket: Path) -> list[str]:
    """The server's options: a unix socket only, every write in the append-only file, nothing evicted."""
    options = {
        "--port": "0",
        "--unixsocket": str(socket),
        "--unixsocketperm": "700",
        "--dir": str(data_dir),
        "--logfile": str(data_dir / LOG_NAME),
        "--appendonly": "yes",
        "--appendfsync": "everysec",
        "--save": "",
        "--maxmemory-policy": "noeviction",
        # Looks for work of its own a second, 10 by default: half of what an idle daemon costs were those.
        # A signal waits for one as well, so fewer than this would be felt at a stop.
        "--hz": "5",
        "--daemonize": "no",
    }
    return [word for pair in options.items() for word in pair]


def has_ended(pid: int) -> bool:
    """True when the child has ended; its status stays for the reaper."""
    try:
        found = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return True
    return found is not None


def end(pid: int, within: float) -> None:
    """INT, and KILL after ``within``; returns when the child has ended.  Leaves its status."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        for signum, patience in ((signal.SIGINT, within), (signal.SIGKILL, KILLED)):
            signal.pidfd_send_signal(handle, signum)
            poller = select.poll()
            poller.register(handle, select.POLLIN)
            if poller.poll(patience * 1000.0):
                return
    except ProcessLookupError:
        return
    finally:
        os.close(handle)


def last_words(data_dir: Path) -> str:
    """The last line that the server wrote to its log, or why there may be none."""
    try:
        with (data_dir / LOG_NAME).open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 4096))
            lines = file.read().decode("utf-8", "replace").splitlines()
        free = shutil.disk_usage(data_dir).free
    except OSError as exc:
        return f"its log cannot be read: {exc.strerror}"
    if free < ROOM:
        return f"no space is left on the disk of {data_dir}"
    said = (_PREFIX.sub("", line.strip()) for line in reversed(lines) if line.strip())
    return next(said, "it has said nothing")
