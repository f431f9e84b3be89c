"""``EmbeddedServer``: keep a server on the data directory running, our own or another daemon's.

It never blocks the loop, except in ``wait`` (boot) and ``stop`` (the daemon's end), both bounded.

Units: seconds.
Errors: UnavailableError from ``wait`` when our own server ends at once.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Any, Protocol

from workerd.clock import Clock
from workerd.errors import UnavailableError
from workerd.transport.loop import Cancelable, Loop
from workerd.worker.embedded import process
from workerd.worker.embedded.backoff import Backoff
from workerd.worker.embedded.link import Link, answers

log = logging.getLogger(__name__)

_LOOK = 0.1  # between two looks for a server that is about to listen, or a lock about to be free
_BOOT_LOOK = 0.02  # the same while the daemon waits for it


class Reaper(Protocol):
    """Who collects this process's children."""

    def watch(self, pid: int, callback: Callable[[int], None]) -> object:
        """Call with the status, as of ``os.waitpid``, when ``pid`` has ended."""

    def reap(self) -> object:
        """Collect those that have ended by now."""


class Role(Enum):
    """What this daemon is to the server."""

    OFF = "off"
    OWNER = "supervises"
    GUEST = "connects"


class EmbeddedServer:
    """One server per data directory; ``role`` tells whose it is, ``pid`` is 0 unless it is ours."""

    def __init__(
        self, loop: Loop, reaper: Reaper, clock: Clock, binary: Path, data_dir: Path, socket: Path
    ) -> None:
        self.role, self.pid, self.restarts = Role.OFF, 0, 0
        self.data_dir, self.socket = data_dir, socket
        self._loop, self._reaper, self._clock, self._binary = loop, reaper, clock, binary
        self._backoff = Backoff()
        self._timer: Cancelable | None = None
        self._link = Link(loop, socket, self._up, self._lost)

    def start(self) -> None:
        """Start the server, or follow the one that runs.  May be called twice."""
        if self.role is Role.OFF:
            self._begin()

    def wait(self, within: float) -> bool:
        """Block until the server answers; False when it has not within so many seconds."""
        deadline = self._clock.now() + within
        while self.role is not Role.OFF:
            if answers(self.socket):
                return True
            if self.pid and process.has_ended(self.pid):
                raise UnavailableError(
                    f"the embedded broker ended at its start: {process.last_words(self.data_dir)}",
                    f"see {self.data_dir / process.LOG_NAME}",
                )
            if self._clock.now() > deadline:
                break
            if self.role is Role.GUEST:
                self._begin()
            time.sleep(_BOOT_LOOK)
        return False

    def stop(self, within: float = 10.0) -> None:
        """End our own server (INT, KILL after ``within``) or leave another's; blocks.  May be repeated."""
        self.role = Role.OFF
        self._quiet()
        if self.pid:
            pid, self.pid = self.pid, 0
            process.end(pid, within)
            self._reaper.reap()

    def info(self) -> dict[str, Any]:
        """Plain values for ``status``."""
        return {
            "role": self.role.value,
            "pid": self.pid,
            "socket": str(self.socket),
            "restarts": self.restarts,
            "degraded": self._backoff.spent,
        }

    def _begin(self) -> None:
        self._quiet()
        locked = process.lock(self.data_dir)
        if locked is None:
            self.role = Role.GUEST
            self._look()
            return
        self.role = Role.OWNER
        try:
            self.pid = process.spawn(self._binary, self.data_dir, self.socket, locked)
        except OSError as exc:
            self._ended(f"cannot be started: {exc}")
            return
        finally:
            os.close(locked)
        log.info("embedded broker: started %s (pid %d) on %s", self._binary.name, self.pid, self.socket)
        self._reaper.watch(self.pid, self._exited)
        self._look()

    def _look(self) -> None:
        self._timer = None
        if not self._link.open():
            # A guest whose server has gone may be the one to start the next.
            again = self._begin if self.role is Role.GUEST else self._look
            self._timer = self._loop.call_later(_LOOK, again)

    def _up(self) -> None:
        log.info("embedded broker: answers on %s (this daemon %s)", self.socket, self.role.value)

    def _lost(self) -> None:
        if self.role is Role.GUEST:
            log.warning("embedded broker: the connection to %s is lost", self.socket)
            self._timer = self._loop.call_later(_LOOK, self._begin)
        elif self.role is Role.OWNER:
            self._timer = self._loop.call_later(_LOOK, self._look)

    def _exited(self, status: int) -> None:
        if self.role is not Role.OWNER:
            return
        code = os.waitstatus_to_exitcode(status)
        how = f"was ended by signal {-code}" if code < 0 else f"exited with code {code}"
        self._ended(f"(pid {self.pid}) {how}: {process.last_words(self.data_dir)}")

    def _ended(self, how: str) -> None:
        self.pid = 0
        self._quiet()
        self.restarts += 1
        delay = self._backoff.ended(self._clock.now())
        level = logging.CRITICAL if self._backoff.spent else logging.ERROR
        log.log(level, "embedded broker %s; starting again in %.1f s", how, delay)
        self._timer = self._loop.call_later(delay, self._begin)

    def _quiet(self) -> None:
        self._link.close()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
