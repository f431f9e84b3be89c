"""Hub: the one event loop of the supervisor, a kombu Hub that can carry a pool.

What differs from kombu's, each with a test that shows the need:
every due timer fires in one turn, and the loop never sleeps while one is due; a reader and a writer on one
descriptor work side by side, because the writer stands on a duplicate; one callback that raises spoils
nothing but itself, because every callback is guarded; an idle hub does not wake at all.

Units:  seconds of the monotonic clock.
Errors: none cross the loop.  SystemExit stops it with its code; anything else is logged under the callback's
        name.  Connection errors of one consumer generation are told to its ``Scope``, not to the hub.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeAlias

from kombu.asynchronous import Hub as KombuHub
from kombu.utils.eventio import READ, WRITE
from vine import Thenable, promise

from workerd.errors import exit_code
from workerd.worker.loop.naming import callback_name
from workerd.worker.loop.stalls import Stalls
from workerd.worker.loop.timer import Timer, TimerEntry

logger = logging.getLogger(__name__)

FileLike: TypeAlias = Any
"""A descriptor's number, or anything with ``fileno()``."""

MAX_SLEEP = 86_400.0
"""Seconds; epoll takes no more than 2**31 milliseconds, and a timer may be set for next year."""

MAX_FAILURES = 10
"""A descriptor whose callback raises this often in a row is given up, or it would fill the log for ever."""


class Hub(KombuHub):
    """The event loop; ``run()`` goes on until ``stop(code)``."""

    timer: Timer
    poller: Any
    readers: dict[int, tuple[Callable[..., Any], tuple[Any, ...]]]
    writers: dict[int, tuple[Callable[..., Any], tuple[Any, ...]]]

    def __init__(self, timer: Timer | None = None) -> None:
        super().__init__(timer=timer or Timer())  # type: ignore[no-untyped-call]
        self._soon: deque[Any] = deque()
        self._duplicates: dict[int, int] = {}  # a writer's descriptor: its duplicate in the poller
        self._originals: dict[int, int] = {}  # the reverse
        self._fresh: set[int] = set()  # watched since the last poll: its events are not theirs
        self._failures: dict[int, int] = {}
        self._thread: int | None = None
        self._stopping = False
        self._code: int | None = None
        self.calling: Callable[..., Any] | None = None
        """The last callback that was called."""
        self.stalls: Stalls | None = None
        """Who tells of callbacks that hold up ``run``."""
        self._bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self.poller.register(self._bell, READ)

    # -- running ---------------------------------------------------------------------------------

    def run(self) -> int | None:
        """Turn until ``stop``; return the code that it was given."""
        self._thread, self._running = threading.get_ident(), True
        try:
            self._busy(True)
            while not self._stopping:
                self.turn()
            return self._code
        finally:
            self._busy(False)
            self._thread, self._running, self._stopping, self._code = None, False, False, None

    def run_forever(self) -> None:
        """As ``run``, under kombu's name."""
        self.run()

    def run_once(self) -> None:
        """One turn, under kombu's name."""
        self.turn()

    def stop(self, code: int | None = None) -> None:
        """End ``run`` after this turn, also when it has not begun; the first code that is given counts."""
        self._stopping = True
        self._code = self._code if self._code is not None else code
        os.eventfd_write(self._bell, 1)

    def turn(self) -> None:
        """Everything that is ready now, then sleep until the next deadline or event and dispatch."""
        for _ in range(len(self._soon)):  # what these add belongs to the next turn
            self.guard(self._soon.popleft())
        for entry in self.timer.due():
            if not entry.canceled:  # by an earlier one, or by a callback of this turn
                self.guard(entry)
        for callback in list(self.on_tick):
            self.guard(callback)
        self._fresh.clear()
        self._busy(False)
        events = self.poller.poll(self._sleep()) or ()
        self._busy(True)
        for fd, event in events:
            self._dispatch(fd, event)

    def _busy(self, busy: bool) -> None:
        if self.stalls is not None and self._running:
            self.stalls.busy() if busy else self.stalls.idle()

    def _sleep(self) -> float | None:
        wait = self.timer.wait()
        if self._soon or (self._stopping and self._running):  # a turn outside run() waits as ever
            return 0.0
        return None if wait is None else min(wait, MAX_SLEEP)

    def guard(self, callback: Callable[..., Any], args: tuple[Any, ...] = ()) -> bool:
        """Call it so that the loop survives; True when it did not raise."""
        self.calling = callback
        try:
            callback(*args)
        except SystemExit as exc:
            logger.warning("%s asked to stop the daemon: %r", callback_name(callback), exc)
            self.stop(exit_code(exc))
        except Exception as exc:
            logger.error("Error in %s: %r", callback_name(callback), exc, exc_info=True)
        else:
            return True
        return False

    # -- callbacks -------------------------------------------------------------------------------

    def call_soon(self, callback: Callable[..., Any], *args: Any) -> Any:
        """Call it in the next turn, in the order of these calls; safe from other threads.

        Returns a promise; ``cancel()`` takes the call back.
        """
        item = callback if isinstance(callback, Thenable) else promise(callback, args)
        self.line_up(item)
        return item

    def line_up(self, callback: Callable[[], Any]) -> None:
        """As ``call_soon``, for what needs not be taken back."""
        self._soon.append(callback)
        if threading.get_ident() != self._thread:
            os.eventfd_write(self._bell, 1)

    def call_later(self, delay: float, callback: Callable[..., Any], *args: Any) -> TimerEntry:
        """Call it once, ``delay`` seconds from now."""
        return self.timer.call_after(delay, callback, args)

    def call_at(self, when: float, callback: Callable[..., Any], *args: Any) -> TimerEntry:
        """Call it once, at a time of the monotonic clock."""
        return self.timer.call_at(when, callback, args)

    def call_repeatedly(self, delay: float, callback: Callable[..., Any], *args: Any) -> TimerEntry:
        """Call it every ``delay`` seconds until the entry is cancelled."""
        return self.timer.call_repeatedly(delay, callback, args)

    # -- descriptors -----------------------------------------------------------------------------

    def add(
        self,
        fd: FileLike,
        callback: Callable[..., Any],
        flags: int,
        args: Any = (),
        consolidate: bool = False,
    ) -> None:
        """Call ``callback(*args)`` while ``fd`` is ready; another call for the same direction replaces it.

        Errors: OSError or ValueError for a descriptor that cannot be watched.
        """
        if consolidate:
            raise ValueError("this hub calls each callback by itself; consolidate is not for it")
        number = descriptor(fd)
        if flags & READ:
            self.watch(number, flags)
            self.readers[number] = (callback, tuple(args))
            self._failures.pop(number, None)
        else:
            self._add_writer(number, flags)
            self.writers[number] = (callback, tuple(args))

    def add_reader(self, fds: FileLike, callback: Callable[..., Any], *args: Any) -> None:
        """Call ``callback(*args)`` while ``fds`` can be read."""
        self.add(fds, callback, READ, args)

    def add_writer(self, fds: FileLike, callback: Callable[..., Any], *args: Any) -> None:
        """Call ``callback(*args)`` while ``fds`` can be written."""
        self.add(fds, callback, WRITE, args)

    def _add_writer(self, fd: int, flags: int) -> None:
        if fd in self._duplicates:
            if os.path.sameopenfile(fd, self._duplicates[fd]):
                return
            self.remove_writer(fd)  # the number has been closed and is another file now
        duplicate = os.dup(fd)
        try:
            self.watch(duplicate, flags)
        except OSError:
            os.close(duplicate)
            raise
        self._duplicates[fd], self._originals[duplicate] = duplicate, fd

    def remove(self, fd: FileLike) -> None:
        """Forget both directions; what is not watched is no error."""
        number = descriptor(fd)
        self.remove_writer(number)  # first: while the duplicate is open the original stays in the poller
        self.remove_reader(number)

    def remove_reader(self, fd: FileLike) -> None:
        """Forget the reading direction."""
        number = descriptor(fd)
        self.readers.pop(number, None)
        self._failures.pop(number, None)
        self.forget(number)

    def remove_writer(self, fd: FileLike) -> None:
        """Forget the writing direction."""
        number = descriptor(fd)
        self.writers.pop(number, None)
        duplicate = self._duplicates.pop(number, None)
        if duplicate is not None:
            del self._originals[duplicate]
            self.forget(duplicate)
            os.close(duplicate)

    def _dispatch(self, fd: int, event: int) -> None:
        if fd == self._bell:
            os.eventfd_read(self._bell)
        elif fd not in self._fresh:
            original = self._originals.get(fd)
            entry = self.readers.get(fd) if original is None else self.writers.get(original)
            if entry is None:
                self.forget(fd)
            elif self.guard(*entry):
                self._failures.pop(fd, None)
            else:
                self._failed(fd, fd if original is None else original)

    def _failed(self, fd: int, watched: int) -> None:
        failures = self._failures[fd] = self._failures.get(fd, 0) + 1
        if not _is_open(watched):
            self.remove(watched)
        elif failures >= MAX_FAILURES:
            logger.critical("Descriptor %d is left alone: its callback raised %d times", watched, failures)
            self.remove(watched)

    def watch(self, fd: int, flags: int) -> None:
        """Put a descriptor into the poller; what the poller said of its number before is not about it."""
        self.poller.register(fd, flags)
        self._fresh.add(fd)

    def forget(self, fd: int) -> None:
        """Take a descriptor out of the poller, whatever its state."""
        # Unknown to the poller or closed: either way it is not watched, which is what was asked.
        with suppress(OSError, ValueError, KeyError):
            self.poller.unregister(fd)

    # -- the end ---------------------------------------------------------------------------------

    def dispose(self) -> None:
        """Close the hub's own descriptors, at the very end of the process' use of it; may come twice."""
        for fd in list(self._duplicates):
            self.remove_writer(fd)
        self.readers.clear()
        self._soon.clear()
        self.timer.clear()
        if self._bell >= 0:
            os.close(self._bell)
            self._bell = -1
            self.poller.close()

    def close(self, *args: Any) -> None:
        """As ``dispose``: kombu's own would run what is still queued."""
        self.dispose()

    def reset(self) -> None:
        """Refused: a hub is never reset, the scopes that registered something remove it."""
        raise RuntimeError("a running hub is not reset; close the scope whose callbacks should go")


def descriptor(fd: FileLike) -> int:
    """The number of a descriptor or of an object with ``fileno()``."""
    return fd if isinstance(fd, int) else int(fd.fileno())


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True
