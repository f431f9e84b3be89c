"""SideProgram: a program of ours that runs beside the daemon, and the daemon's handle on it.

Each line of its stdin and of its stdout is JSON; ``{"error": text}`` is why it is about to end.  It dies with
the daemon, and is started again with backoff when it ends by itself.

Units:  seconds.
Errors: none; whatever goes wrong is logged, once for each reason.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

from workerd.clock import Clock
from workerd.transport.loop import Cancelable, Loop
from workerd.worker.embedded import process
from workerd.worker.embedded.backoff import Backoff
from workerd.worker.embedded.server import Reaper

logger = logging.getLogger(__name__)

PATIENCE = 0.2  # for the end of a program that has nothing to lose
CHUNK = 65536
"""What a pipe holds where nobody says otherwise, too."""


class SideProgram:
    """``argv`` are the words for Python.

    ``heard`` gets each line that it says; ``begun`` is called each time that it has been started.
    ``patience`` is for its end, once its stdin has ended; then it is killed.
    ``pid`` is 0 while it does not run, ``problem`` why the last one ended, until ``well`` is called.
    """

    def __init__(
        self,
        loop: Loop,
        reaper: Reaper,
        clock: Clock,
        *,
        name: str,
        argv: Sequence[str],
        heard: Callable[[dict[str, Any]], None],
        begun: Callable[[], None] = lambda: None,
        patience: float = PATIENCE,
    ) -> None:
        self.pid, self.restarts, self.problem = 0, 0, ""
        self._loop, self._reaper, self._clock = loop, reaper, clock
        self._name, self._argv, self._patience = name, argv, patience
        self._heard, self._begun = heard, begun
        self._backoff = Backoff()
        self._timer: Cancelable | None = None
        self._to = self._from = -1  # the program's stdin and stdout; -1 is closed
        self._rest = b""
        self._error = ""
        self._replaced = False

    def start(self) -> None:
        """Start the program, unless it runs or will."""
        if self.pid == 0 and self._timer is None:
            self._begin()

    def replace(self) -> None:
        """Let it end by itself, as its stdin does, and begin anew at once."""
        self._replaced = self.pid != 0
        self._close_stdin()

    def tell(self, value: object) -> None:
        """One line for its stdin, bytes as they are; lost if it does not read, or does not run."""
        if self._to < 0:
            return
        line = (value if isinstance(value, bytes) else json.dumps(value).encode()) + b"\n"
        try:
            if len(line) > CHUNK:  # all of it is written at once, and read when the program has been loaded
                fcntl.fcntl(self._to, fcntl.F_SETPIPE_SZ, len(line))
            os.write(self._to, line)
        except OSError as exc:
            logger.debug("The %s takes nothing: %s", self._name, exc)

    def well(self) -> None:
        """It does what it is for: its next end is told, also for a reason that was told before."""
        self.problem = ""

    def stop(self) -> None:
        """End the program; blocks until it has ended.  May be called twice."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        pid, self.pid = self.pid, 0
        self._close()
        if pid:
            process.end(pid, self._patience)
            self._reaper.reap()

    def _begin(self) -> None:
        self._timer, self._replaced = None, False
        try:
            self.pid, self._to, self._from = _spawn(self._argv)
        except OSError as exc:
            self._again(f"cannot be started: {exc}")
            return
        self._error, self._rest = "", b""
        self._loop.add_reader(self._from, self._read)
        self._reaper.watch(self.pid, self._ended)
        self._begun()

    def _read(self) -> bool:
        """Take what has come; False when nothing has, or nothing will."""
        try:
            data = os.read(self._from, CHUNK)
        except BlockingIOError:
            return False
        if not data:
            self._close()
            return False
        *whole, self._rest = (self._rest + data).split(b"\n")
        for line in whole:
            self._take(json.loads(line))
        return True

    def _take(self, fact: dict[str, Any]) -> None:
        if "error" in fact:
            self._error = str(fact["error"])
        else:
            self._heard(fact)

    def _ended(self, status: int) -> None:
        if self.pid == 0:
            return
        while self._from >= 0 and self._read():
            continue
        self._close()
        self.pid = 0
        if self._replaced:
            self._begin()
        else:
            self._again(self._error or f"ended with {_how(status)}")

    def _again(self, how: str) -> None:
        self.restarts += 1
        delay = self._backoff.ended(self._clock.now())
        level = logging.DEBUG if how == self.problem else logging.WARNING
        self.problem = how
        logger.log(level, "The %s %s; starting again in %.1f s", self._name, how, delay)
        self._timer = self._loop.call_later(delay, self._begin)

    def _close(self) -> None:
        if self._from >= 0:
            self._loop.remove_reader(self._from)
            os.close(self._from)
            self._from = -1
        self._close_stdin()

    def _close_stdin(self) -> None:
        if self._to >= 0:
            os.close(self._to)
            self._to = -1


def _spawn(words: Sequence[str]) -> tuple[int, int, int]:
    """The program's pid, our end of its stdin and our end of its stdout."""
    argv = process.bound_to_us([sys.executable, "-P", *words])
    (stdin, to), (ours, stdout) = os.pipe2(os.O_CLOEXEC), os.pipe2(os.O_CLOEXEC)
    try:
        for fd in (to, ours):
            os.set_blocking(fd, False)
        pid = os.posix_spawn(
            sys.executable,
            argv,
            os.environ,
            file_actions=[(os.POSIX_SPAWN_DUP2, stdin, 0), (os.POSIX_SPAWN_DUP2, stdout, 1)],
            setpgroup=0,
            setsigmask=process.FOR_THE_SUPERVISOR,
            setsigdef=(signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE, signal.SIGCHLD),
        )
    except OSError:
        os.close(to)
        os.close(ours)
        raise
    finally:
        os.close(stdin)
        os.close(stdout)
    return pid, to, ours


def _how(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    return f"signal {-code}" if code < 0 else f"exit code {code}"
