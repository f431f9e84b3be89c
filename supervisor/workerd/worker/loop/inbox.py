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

Where a handler runs inside a finalizer or the callback of a weak reference, as imports have them, Python
drops what it raises.  The alarm then raises it once more, a moment later.

Units:  seconds of the monotonic clock.
Errors: ValueError when ``install`` is called outside the main thread.
"""

from __future__ import annotations

import math
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from signal import Signals
from types import FrameType
from typing import Any

import msgspec

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


_A_MOMENT = 0.001


class StopRequested(BaseException):
    """A stop was asked for while ``interruptible`` code ran, or what a stop leaves for it is over.

    The request itself waits in the inbox.
    """


class _TimeIsOver(BaseException):
    """The seconds of ``bounded`` are over."""


class SignalSeen(msgspec.Struct, frozen=True):
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
        self._end = math.inf  # of what is ``bounded`` now, in the kernel's monotonic time
        self._ending = False  # that end has not come yet
        self._stopping = False  # a stop is to be raised once more
        self.waits = False
        """What runs now waits for somebody outside, and may: it holds up the loop for a reason."""
        self.until = math.inf
        """What is ``interruptible`` is left then."""
        self._before: dict[Signals, Any] = {}
        self._wakeup_before = -1
        self._unraisable_before: Callable[[Any], object] = sys.unraisablehook
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
            self._unraisable_before, sys.unraisablehook = sys.unraisablehook, self._dropped
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
            sys.unraisablehook = self._unraisable_before
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
    def interruptible(self, *, waits: bool = True) -> Iterator[None]:
        """A stop request that comes in here, or waits in the inbox already, raises ``StopRequested``."""
        ended = False
        with self.bounded(self.until - self._clock()):
            self._armed, self.waits = True, waits
            try:
                asked = any(self._count[signum] != self._taken[signum] for signum in STOPS)
                if asked or self._clock() >= self.until:
                    raise StopRequested
                yield
                ended = True
            finally:
                self._armed = self._stopping = self.waits = False
        if not ended:
            raise StopRequested

    @contextmanager
    def bounded(self, within: float, told: str = "") -> Iterator[None]:
        """What is done here ends within so many seconds: then it is left where it waits.

        Without an error, or with ``told`` as a TimeoutError, whose cause shows where that was.
        """
        before, outer = signal.signal(signal.SIGALRM, self._over), self._end
        self._bound(min(outer, time.monotonic() + within))
        try:
            yield
        except _TimeIsOver as exc:
            if told:
                raise TimeoutError(told) from exc
        finally:
            self._bound(outer)
            signal.signal(signal.SIGALRM, signal.SIG_DFL if before is None else before)

    def _bound(self, end: float) -> None:
        self._end, self._ending = end, not math.isinf(end)
        left = max(end - time.monotonic(), _A_MOMENT) if self._ending else 0.0
        signal.setitimer(signal.ITIMER_REAL, _A_MOMENT if self._stopping else left)

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
        if self._stopping:
            self._stopping = False
            raise StopRequested
        if self._ending:
            self._ending = False  # once only, as above
            raise _TimeIsOver

    def _dropped(self, found: Any) -> None:
        """What was raised where nobody can catch it.  Ours can only have been within ``bounded``."""
        if found.exc_type is StopRequested:
            self._stopping = True
        elif found.exc_type is _TimeIsOver:
            self._ending = True
        else:
            self._unraisable_before(found)
            return
        signal.setitimer(signal.ITIMER_REAL, _A_MOMENT)

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
