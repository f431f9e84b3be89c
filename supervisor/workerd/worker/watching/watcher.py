"""Watcher: the daemon's handle on the program that watches files.

The program dies with the daemon, and is started again with backoff when it ends by itself.

Units:  seconds.
Errors: ConfigError from ``check_installed``; whatever goes wrong later is logged.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from workerd.clock import Clock
from workerd.errors import ConfigError
from workerd.transport.loop import Cancelable, Loop
from workerd.worker.embedded import process
from workerd.worker.embedded.backoff import Backoff
from workerd.worker.embedded.server import Reaper

logger = logging.getLogger(__name__)

PATIENCE = 0.2  # for the program's end; it has nothing to lose
CHUNK = 65536


def check_installed() -> None:
    """ConfigError that says what to install, where the package that watches is missing."""
    if importlib.util.find_spec("watchfiles") is None:
        raise ConfigError(
            "watch needs the package watchfiles, which is not installed", "pip install 'workerd[dev]'"
        )


class Watcher:
    """``changed(paths)`` for each batch of changed files; ``follow`` may be called at any time."""

    def __init__(
        self, loop: Loop, reaper: Reaper, clock: Clock, changed: Callable[[list[str]], None]
    ) -> None:
        self.pid, self.restarts = 0, 0
        self.paths: list[str] = []
        self._loop, self._reaper, self._clock, self._changed = loop, reaper, clock, changed
        self._backoff = Backoff()
        self._timer: Cancelable | None = None
        self._to = self._from = -1  # the program's stdin and stdout; -1 is closed
        self._rest = b""
        self._error = ""

    def start(self) -> None:
        """Start the program, unless it runs or will."""
        if self.pid == 0 and self._timer is None:
            self._begin()

    def follow(self, paths: Iterable[str]) -> None:
        """Watch these too.  None is ever let go: code that fails to load must be mended where it was."""
        new = sorted(set(paths) - set(self.paths))
        if new:
            self.paths = sorted([*self.paths, *new])
            self._tell(new)

    def stop(self) -> None:
        """End the program; blocks until it has ended.  May be called twice."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        pid, self.pid = self.pid, 0
        self._close()
        if pid:
            process.end(pid, PATIENCE)
            self._reaper.reap()

    def _begin(self) -> None:
        self._timer = None
        try:
            self.pid, self._to, self._from = _spawn()
        except OSError as exc:
            self._again(f"cannot be started: {exc}")
            return
        self._error, self._rest = "", b""
        self._loop.add_reader(self._from, self._read)
        self._reaper.watch(self.pid, self._ended)
        self._tell(self.paths)

    def _tell(self, paths: list[str]) -> None:
        if self._to < 0 or not paths:
            return
        try:
            os.write(self._to, json.dumps(paths).encode() + b"\n")
        except OSError as exc:
            # Dying, or not reading: its next life is told everything.
            logger.debug("The file watcher takes no paths: %s", exc)

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
            self._changed([str(path) for path in fact["changed"]])

    def _ended(self, status: int) -> None:
        if self.pid == 0:
            return
        while self._from >= 0 and self._read():
            continue
        self._close()
        self.pid = 0
        self._again(self._error or f"ended with {_how(status)}")

    def _again(self, how: str) -> None:
        self.restarts += 1
        delay = self._backoff.ended(self._clock.now())
        logger.warning("The file watcher %s; starting again in %.1f s", how, delay)
        self._timer = self._loop.call_later(delay, self._begin)

    def _close(self) -> None:
        if self._from >= 0:
            self._loop.remove_reader(self._from)
        for fd in (self._from, self._to):
            if fd >= 0:
                os.close(fd)
        self._from = self._to = -1


def _spawn() -> tuple[int, int, int]:
    """The program's pid, our end of its stdin and our end of its stdout."""
    argv = process.bound_to_us([sys.executable, "-P", str(Path(__file__).with_name("program.py"))])
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
