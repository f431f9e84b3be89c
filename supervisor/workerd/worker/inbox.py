"""Signal inbox: a handler records and wakes, the loop reads.

A handler stores the time in a fixed table and the interpreter's wakeup descriptor makes ``fileno()``
readable; no log, lock or I/O happens in signal context.  ``take()`` turns the table into events.

A repeat within a second is the same request: process managers and terminals often send the same signal
twice.  TERM and INT ask for the same thing and repeat each other.  HUP is told each time it was taken, or
the last of two would be lost and with it the code that it announces; CHLD is told whenever there may be
children to reap.  TTIN and TTOU count slots, so each one is told.

Inside ``with inbox.interruptible():`` a stop request raises ``StopRequested`` from the handler, because
Python resumes an interrupted system call unless its handler raises (PEP 475).  So does the moment ``until``,
which a stop that is under way has set: an alarm of the kernel's (ALRM) wakes who waits then.

Units:  seconds of the monotonic clock.
Errors: ValueError when ``install`` is called outside the main thread.
"""

from __future__ import annotations

import math
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from signal import Signals
from types import FrameType
from typing import Any

STOPS = frozenset((Signals.SIGTERM, Signals.SIGINT, Signals.SIGQUIT))
SIGNALS = (
    *sorted(STOPS),
    Signals.SIGHUP,
    Signals.SIGTTIN,
    Signals.SIGTTOU,
    Signals.SIGUSR1,
    Signals.SIGUSR2,
    Signals.SIGCHLD,
)
LAST_ONLY = frozenset((Signals.SIGHUP, Signals.SIGCHLD))
"""Of those that arrived together the last is told, however soon after the one before it."""

COUNTED = frozenset((Signals.SIGTTIN, Signals.SIGTTOU))
"""Each arrival is a request of its own."""

REQUEST = {Signals.SIGINT: Signals.SIGTERM}
"""Signals that ask for what another one asks for."""

SAME_REQUEST = 1.0
"""Seconds within which a repeat is the same request."""

SLOTS = 4
"""Arrivals of one signal that are remembered between two ``take()``s; older ones are overwritten."""


class StopRequested(BaseException):
    """A stop was asked for while ``interruptible`` code ran, or what a stop leaves for it is over.

    The request itself waits in the inbox.
    """


class _TimeIsOver(BaseException):
    """The seconds of ``bounded`` are over."""


@dataclass(frozen=True, slots=True)
class SignalSeen:
    """One request: the signal, and when it arrived."""

    signum: Signals
    at: float


class Inbox:
    """The only owner of signal handlers in the supervisor."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._times = {signum: [0.0] * SLOTS for signum in SIGNALS}
        self._count = dict.fromkeys(SIGNALS, 0)  # written by handlers only
        self._taken = dict.fromkeys(SIGNALS, 0)  # written by take() only
        self._accepted: dict[Signals, float] = {}
        self._armed = False
        self._bounding = False
        self.until = math.inf
        """What is ``interruptible`` is left then."""
        self._before: dict[Signals, Any] = {}
        self._wakeup_before = -1
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)

    def fileno(self) -> int:
        """A descriptor that is readable when ``take()`` may have something."""
        return self._reader.fileno()

    def install(self) -> None:
        """Set the handlers and unblock their signals; again, to take them back from an imported app."""
        if not self._before:
            self._before = {signum: signal.getsignal(signum) for signum in SIGNALS}
            self._wakeup_before = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        else:
            signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        for signum in SIGNALS:
            signal.signal(signum, self._record)
        # They were blocked before our exec, so that none could kill us before this line.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

    def uninstall(self) -> None:
        """Put back the handlers that stood before ``install``; the inbox cannot be used again."""
        for signum, handler in self._before.items():
            # None is a handler that was set in C, which Python cannot set again.
            signal.signal(signum, signal.SIG_DFL if handler is None else handler)
        if self._before:
            signal.set_wakeup_fd(self._wakeup_before, warn_on_full_buffer=False)
        self._before = {}
        self._reader.close()
        self._writer.close()

    def take(self) -> list[SignalSeen]:
        """What has arrived since the last call, in order of arrival."""
        with suppress(BlockingIOError):
            while self._reader.recv(4096):
                pass
        arrived = [event for signum in SIGNALS for event in self._arrivals(signum)]
        # Sorted first: of a TERM and an INT within a second the earlier one is the request.
        return [event for event in sorted(arrived, key=lambda event: event.at) if self._is_new(event)]

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """A stop request that comes in here, or waits in the inbox already, raises ``StopRequested``."""
        ended = False
        with self.bounded(self.until - self._clock()):
            self._armed = True
            try:
                waits = any(self._count[signum] != self._taken[signum] for signum in STOPS)
                if waits or self._clock() >= self.until:
                    raise StopRequested
                yield
                ended = True
            finally:
                self._armed = False
        if not ended:
            raise StopRequested

    @contextmanager
    def bounded(self, within: float) -> Iterator[None]:
        """What is done here ends within so many seconds: then it is left where it waits, without an error."""
        if math.isinf(within):
            yield
            return
        before = signal.signal(signal.SIGALRM, self._over)
        self._bounding = True
        signal.setitimer(signal.ITIMER_REAL, max(within, 0.001))
        try:
            yield
        except _TimeIsOver:
            return
        finally:
            self._bounding = False
            signal.setitimer(signal.ITIMER_REAL, 0.0)
            signal.signal(signal.SIGALRM, signal.SIG_DFL if before is None else before)

    def _record(self, signum: int, frame: FrameType | None) -> None:
        # Runs between two bytecodes of the main thread, so `take` sees each store whole or not at all.
        number = Signals(signum)
        count = self._count[number]
        self._times[number][count % SLOTS] = self._clock()
        self._count[number] = count + 1
        if self._armed and number in STOPS:
            self._armed = False  # once only: the code that unwinds must not be hit again
            raise StopRequested

    def _over(self, signum: int, frame: FrameType | None) -> None:
        if self._bounding:
            self._bounding = False  # once only, as above
            raise _TimeIsOver

    def _arrivals(self, signum: Signals) -> Iterator[SignalSeen]:
        count, taken = self._count[signum], self._taken[signum]
        self._taken[signum] = count
        places = range(max(taken, count - SLOTS), count)
        if signum in LAST_ONLY:
            places = places[-1:]  # what arrived together asks for one answer after the last of them
        for place in places:
            yield SignalSeen(signum, self._times[signum][place % SLOTS])

    def _is_new(self, event: SignalSeen) -> bool:
        if event.signum in LAST_ONLY | COUNTED:
            return True
        request = REQUEST.get(event.signum, event.signum)
        if event.at - self._accepted.get(request, float("-inf")) < SAME_REQUEST:
            return False
        self._accepted[request] = event.at
        return True
