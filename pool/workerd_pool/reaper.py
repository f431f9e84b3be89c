"""Reaper: owns every wait of the process.

Deaths are told by pidfd.  Each round peeks at who is dead, lets the watcher act while the zombie
still holds its pid, then reaps: strangers too, since a sub-reaper inherits the orphans of the
tasks.  The status of a pid that nobody watches is kept for ``KEEP`` seconds, for a child whose
FORKED frame comes later than its death.

A process without a descriptor left for a pidfd goes on: then SIGCHLD alone tells of that death.

Nobody else in the process may wait for children; what somebody reaps all the same is told none the less.
Errors: ProcessLookupError from ``watch`` for a pid that is neither a child nor remembered.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress

import msgspec

from workerd_pool.contract import Loop
from workerd_pool.log import logger

KEEP = 10.0
NO_PIDFD = -1

_PEEK = os.WEXITED | os.WNOHANG | os.WNOWAIT
_CORE_DUMPED = 0x80


class _Watch(msgspec.Struct, frozen=True):
    pidfd: int
    callback: Callable[[int], None]
    before_reap: Callable[[], None] | None


class Reaper:
    """One for a process.  ``reap`` may be called at any time, best on SIGCHLD."""

    def __init__(self, loop: Loop, clock: Callable[[], float] = time.monotonic) -> None:
        self._loop, self._clock = loop, clock
        self._watched: dict[int, _Watch] = {}
        self._kept: dict[int, tuple[float, int]] = {}

    def watch(
        self, pid: int, callback: Callable[[int], None], before_reap: Callable[[], None] | None = None
    ) -> None:
        """Call ``callback(status)`` once, from the loop, after ``pid`` has died and was reaped.

        ``before_reap`` is called while the pid, and so its group's number, cannot be taken by others.
        """
        if not _is_child(pid):
            if pid not in self._kept:
                raise ProcessLookupError(f"process {pid} is not a child of this process")
            _, status = self._kept.pop(pid)
            self._loop.call_soon(callback, status)
            return
        try:
            pidfd = os.pidfd_open(pid)
        except OSError as exc:
            # To give a child up for want of a descriptor would be to lose it, and whatever it runs.
            logger.warning("Process %d is watched by SIGCHLD alone: %s", pid, exc)
            pidfd = NO_PIDFD
        self._watched[pid] = _Watch(pidfd, callback, before_reap)
        if pidfd != NO_PIDFD:
            self._loop.add_reader(pidfd, self.reap)

    def signal(self, pid: int, number: int) -> bool:
        """Send a signal to a watched process; False when it is dead, or not ours to signal any more."""
        watch = self._watched.get(pid)
        if watch is None:
            return False
        try:
            if watch.pidfd == NO_PIDFD:
                # As long as it is watched it is not reaped, so the number is still its own.
                os.kill(pid, number)
            else:
                signal.pidfd_send_signal(watch.pidfd, number)
        except ProcessLookupError:
            return False
        except PermissionError:
            # It has executed a program of another user; nobody else shall go without limits for that.
            logger.error("Process %d takes no signals from here: it runs as another user", pid)
            return False
        return True

    def reap(self) -> None:
        """Reap every child that is dead and tell who watches."""
        dead: list[tuple[_Watch, int]] = []
        while (seen := _peek()) is not None:
            pid, status = seen.si_pid, _wait_status(seen)
            watch = self._watched.pop(pid, None)
            if watch is not None:
                self._unwatch(watch)
                if watch.before_reap is not None:
                    watch.before_reap()
            # A thread of the app may have been faster, with a process of its own or with all of ours.
            with suppress(ChildProcessError):
                os.waitpid(pid, 0)
            if watch is None:
                self._kept[pid] = (self._clock(), status)
            else:
                dead.append((watch, status))
        self._forget_old()
        for watch, status in dead:
            watch.callback(status)

    def close(self) -> None:
        """Watch nobody any more.  May be called twice."""
        for watch in self._watched.values():
            self._unwatch(watch)
        self._watched.clear()
        self._kept.clear()

    def _unwatch(self, watch: _Watch) -> None:
        if watch.pidfd != NO_PIDFD:
            self._loop.remove_reader(watch.pidfd)
            os.close(watch.pidfd)

    def _forget_old(self) -> None:
        horizon = self._clock() - KEEP
        while self._kept:
            pid, (when, _) = next(iter(self._kept.items()))
            if when > horizon:
                return
            del self._kept[pid]


def _is_child(pid: int) -> bool:
    try:
        os.waitid(os.P_PID, pid, _PEEK)
    except ChildProcessError:
        return False
    return True


def _peek() -> os.waitid_result | None:
    try:
        return os.waitid(os.P_ALL, 0, _PEEK)
    except ChildProcessError:
        return None


def _wait_status(seen: os.waitid_result) -> int:
    """What ``waitpid`` would return for it."""
    if seen.si_code == os.CLD_EXITED:
        return seen.si_status << 8
    return seen.si_status | (_CORE_DUMPED if seen.si_code == os.CLD_DUMPED else 0)
