"""Baseline: a child's process as it was when it was ready, so that no job changes it for the next one.

Put back after a job: signal handlers, the signal mask, the alarm timer, the working directory, the
umask, ``sys.stdin``, ``sys.stdout`` and ``sys.stderr``, and that writing to the pipes behind those waits.
What cannot be put back with certainty wears
the child out: descriptors 0 to 2 or a socket closed or replaced, Python's streams closed, a working
directory that is gone; it then leaves and another one takes its place.

Environment, locale, imported modules, resource limits and threads stay as a job has left them: an
app that makes them on first use does so on purpose, and nobody can tell that from an accident.

To look costs 4 to 5 us a job, 11 system calls.
"""

from __future__ import annotations

import faulthandler
import fcntl
import importlib
import os
import signal
import sys
from typing import Any

import msgspec

from workerd_pool.linux import DUMP, WAKE
from workerd_pool.quiet import Handler, listen_for_dump, restore

# Those of ``signal`` make enums of everything: 2 us a call.
_signal: Any = importlib.import_module("_signal")
_getsignal, _pthread_sigmask, _getitimer = _signal.getsignal, _signal.pthread_sigmask, _signal.getitimer
_fcntl = fcntl.fcntl
_BLOCK, _REAL, _GETSIG = int(signal.SIG_BLOCK), int(signal.ITIMER_REAL), fcntl.F_GETSIG
_GETFL, _PIPES = fcntl.F_GETFL, (1, 2)
_QUESTIONS = (_GETSIG,) * 5 + (_GETFL,) * 2  # of the descriptors' labels, and of the pipes' flags

_WATCHED = tuple(
    int(number)
    for number in sorted(signal.valid_signals())
    if (number < 32 and number not in (signal.SIGKILL, signal.SIGSTOP)) or number in (WAKE, DUMP)
)
_NO_TIMER = (0.0, 0.0)
_NAMES = ("stdin", "stdout", "stderr", "a socket of the pool", "the socket to the supervisor")


class Found(msgspec.Struct, frozen=True):
    """What a job has left behind: names of what was put back, and why the process must not serve on.

    ``cut_off``: its socket to the supervisor is gone as well, so nobody can be told.  ``sound`` are
    the descriptors among 1 and 2 that are still its own.
    """

    changed: tuple[str, ...] = ()
    worn: str = ""
    cut_off: bool = False
    sound: tuple[int, ...] = (1, 2)


class Baseline:
    """``take`` once; after each job ``put_back`` unless it is ``untouched``."""

    def __init__(self, wake: Handler, down: int, up: int) -> None:
        self._wake = wake
        self._up = up
        self._fds = (0, 1, 2, down, up)
        self._asked = self._fds + _PIPES
        # A label that this very file carries and no other that takes its number: the signal that it
        # would send if it were asynchronous, which it is not.  Asking costs a third of an fstat.
        self._labels = [signal.SIGRTMAX - place for place in range(len(self._fds))]
        for fd, label in zip(self._fds, self._labels, strict=True):
            fcntl.fcntl(fd, fcntl.F_SETSIG, label)
        self.take()

    def take(self) -> None:
        """Remember what is now as what must be; the pool's own handlers are set first."""
        restore(self._wake)
        self._handlers = [_getsignal(number) for number in _WATCHED]
        self._mask = set(_pthread_sigmask(_BLOCK, ()))
        self._timer = _getitimer(_REAL)
        self._umask = _umask()
        self._directory = _directory()
        self._streams = (sys.stdin, sys.stdout, sys.stderr)
        self._flags = [_fcntl(fd, _GETFL) for fd in _PIPES]
        self._found = self._labels + self._flags

    def untouched(self) -> bool:
        """All is as it must be.  Nearly always so, and asked after every job: written for speed.

        What Python holds of stdout and stderr is written out, which also tells whether one is closed.
        """
        stdin, stdout, stderr = self._streams
        try:
            if (
                list(map(_getsignal, _WATCHED)) == self._handlers
                and _pthread_sigmask(_BLOCK, ()) == self._mask
                and _getitimer(_REAL) == self._timer
                and os.getcwd() == self._directory  # noqa: PTH109 (a Path costs more than all the rest)
                and list(map(_fcntl, self._asked, _QUESTIONS)) == self._found
                and sys.stdout is stdout
                and sys.stderr is stderr
                and sys.stdin is stdin
            ):
                stdout.flush()
                stderr.flush()
                umask = os.umask(self._umask)
                if umask == self._umask:
                    return True
                os.umask(umask)  # so that ``put_back`` finds it
        except (OSError, ValueError, AttributeError):
            pass
        return False

    def put_back(self) -> Found:
        """Put back what has changed, and look at what cannot be."""
        umask = os.umask(self._umask)
        changed = self._put_back_signals()
        if umask != self._umask:
            changed.append("the umask")
        lost = False
        if self._directory is not None and _directory() != self._directory:
            lost = not _enter(self._directory)
            changed.append("the working directory")
        if (sys.stdin, sys.stdout, sys.stderr) != self._streams:
            sys.stdin, sys.stdout, sys.stderr = self._streams
            changed.append("sys.stdin, stdout or stderr")
        sound = tuple(fd for fd, label in zip(self._fds, self._labels, strict=True) if _label(fd) == label)
        if self._put_back_flags(sound):
            changed.append("the flags of stdout or stderr")
        worn = self._worn(sound) or ("its working directory is gone" if lost else "")
        return Found(tuple(changed), worn, self._up not in sound, sound)

    def _worn(self, sound: tuple[int, ...]) -> str:
        if len(sound) < len(self._fds):
            spoilt = (name for name, fd in zip(_NAMES, self._fds, strict=True) if fd not in sound)
            return f"{', '.join(spoilt)} closed or replaced"
        if getattr(sys.stdout, "closed", False) or getattr(sys.stderr, "closed", False):
            return "sys.stdout or sys.stderr closed"
        return ""

    def _put_back_flags(self, sound: tuple[int, ...]) -> bool:
        # An event loop makes them non-blocking, and the next job's long output would fail half-way.
        changed = False
        for fd, flags in zip(_PIPES, self._flags, strict=True):
            if fd in sound and _fcntl(fd, _GETFL) != flags:
                _fcntl(fd, fcntl.F_SETFL, flags)
                changed = True
        return changed

    def _put_back_signals(self) -> list[str]:
        changed = []
        if self._timer == _NO_TIMER and _getitimer(_REAL) != _NO_TIMER:
            signal.setitimer(signal.ITIMER_REAL, 0)
            changed.append("the alarm timer")
        if _pthread_sigmask(_BLOCK, ()) != self._mask:
            self._put_back_mask()
            changed.append("the signal mask")
        if list(map(_getsignal, _WATCHED)) != self._handlers:
            self._put_back_handlers()
            changed.append("signal handlers")
        return changed

    def _put_back_mask(self) -> None:
        for number in signal.sigpending():
            # It came for the job, which is over; ignoring it discards it.
            handler = signal.getsignal(number)
            signal.signal(number, signal.SIG_IGN)
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)

    def _put_back_handlers(self) -> None:
        for number, handler in zip(_WATCHED, self._handlers, strict=True):
            # None: it was not set from Python, so Python could not set it again.
            if handler is not None and _getsignal(number) != handler:
                signal.signal(number, handler)
        # An event loop that was left open would have its signals written to a descriptor of others.
        signal.set_wakeup_fd(-1)
        faulthandler.disable()
        faulthandler.unregister(DUMP)
        listen_for_dump()


def _label(fd: int) -> int:
    try:
        return _fcntl(fd, _GETSIG)
    except OSError:
        return -1


def _umask() -> int:
    # To read it with umask() is to set it, which threads of the app would notice.  A Path and a regular
    # expression would take 500 kB of a new child's memory, for the pages of the template that they touch.
    fd = os.open("/proc/self/status", os.O_RDONLY)
    try:
        _, known, value = os.read(fd, 4096).partition(b"\nUmask:")
    finally:
        os.close(fd)
    assert known, "Linux tells the umask since 4.7"
    return int(value.split(None, 1)[0], 8)


def _directory() -> str | None:
    try:
        return os.getcwd()  # noqa: PTH109 (a Path would cost as much as all the rest)
    except OSError:
        return None


def _enter(directory: str) -> bool:
    try:
        os.chdir(directory)
    except OSError:
        return False
    return True
