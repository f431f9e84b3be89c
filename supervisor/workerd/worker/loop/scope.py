"""Scope: all that one consumer generation has registered with the hub, so that it can end at once.

A scope looks like the hub to those who register (kombu transports, consumer steps, our own sources).  After
``close`` nothing that went through it fires any more, not even what is queued in the turn that goes on; what
is registered later is ignored.

Errors: a connection error in one of its callbacks is reported once, as ``on_error(exc)``, when the callback
        has returned to the loop.  Other errors are the hub's to log.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from kombu.utils.eventio import ERR, READ, WRITE
from vine import Thenable, promise

from workerd.worker.link_errors import is_link_error
from workerd.worker.loop.hub import FileLike, Hub, descriptor
from workerd.worker.loop.scope_views import Owned, ScopedPoller, ScopedTimer, TickSet
from workerd.worker.loop.timer import TimerEntry

logger = logging.getLogger(__name__)


class Scope:
    """The hub as one generation sees it."""

    READ, WRITE, ERR = READ, WRITE, ERR

    def __init__(self, hub: Hub, on_error: Callable[[BaseException], object]) -> None:
        self.hub = hub
        self.closed = False
        self.timer = ScopedTimer(self)
        self.on_tick = TickSet(self)
        self.poller = ScopedPoller(self)
        self.on_close: set[Callable[[Any], Any]] = set()
        """Called with the scope once it is closed."""
        self.errors: tuple[type[BaseException], ...] = ()
        """Exceptions that mean a lost link, beside those that ``is_link_error`` knows."""
        self._on_error: Callable[[BaseException], object] | None = on_error
        self._readers: set[int] = set()
        self._writers: set[int] = set()

    # -- descriptors -----------------------------------------------------------------------------

    def add(
        self,
        fd: FileLike,
        callback: Callable[..., Any],
        flags: int,
        args: Sequence[Any] = (),
        consolidate: bool = False,
    ) -> None:
        """As ``Hub.add``."""
        if self.closed:
            return
        number = descriptor(fd)
        self.hub.add(number, Owned(self, callback), flags, args, consolidate)
        (self._readers if flags & READ else self._writers).add(number)

    def add_reader(self, fds: FileLike, callback: Callable[..., Any], *args: Any) -> None:
        """Call ``callback(*args)`` while the descriptor is readable or in error."""
        self.add(fds, callback, READ | ERR, args)

    def add_writer(self, fds: FileLike, callback: Callable[..., Any], *args: Any) -> None:
        """Call ``callback(*args)`` while the descriptor is writable."""
        self.add(fds, callback, WRITE, args)

    def remove(self, fd: FileLike) -> None:
        """Forget both directions of a descriptor, if they are this scope's."""
        self.remove_writer(fd)
        self.remove_reader(fd)

    def remove_reader(self, fd: FileLike) -> None:
        """Forget the reading direction, if it is this scope's."""
        number = descriptor(fd)
        self._readers.discard(number)
        self.poller.unregister(number)
        if self.owns(self.hub.readers.get(number)):
            self.hub.remove_reader(number)

    def remove_writer(self, fd: FileLike) -> None:
        """Forget the writing direction, if it is this scope's."""
        number = descriptor(fd)
        self._writers.discard(number)
        if self.owns(self.hub.writers.get(number)):
            self.hub.remove_writer(number)

    def owns(self, entry: tuple[Callable[..., Any], Sequence[Any]] | None) -> bool:
        """Whether an entry of ``hub.readers`` or ``hub.writers`` went through this scope.

        A number that the transport has closed may be another part's descriptor by now.
        """
        return entry is not None and isinstance(entry[0], Owned) and entry[0].scope is self

    # -- calls -----------------------------------------------------------------------------------

    def call_soon(self, callback: Callable[..., Any], *args: Any) -> Any:
        """As ``Hub.call_soon``."""
        item = callback if isinstance(callback, Thenable) else promise(callback, args)
        if not self.closed:
            self.hub.line_up(Owned(self, item))
        return item

    def call_later(self, delay: float, callback: Callable[..., Any], *args: Any) -> TimerEntry:
        """Call ``callback(*args)`` in ``delay`` seconds."""
        return self.timer.call_after(delay, callback, args)

    def call_at(self, when: float | datetime, callback: Callable[..., Any], *args: Any) -> TimerEntry:
        """Call ``callback(*args)`` at ``when``."""
        return self.timer.call_at(when, callback, args)

    def call_repeatedly(self, delay: float, callback: Callable[..., Any], *args: Any) -> TimerEntry:
        """Call ``callback(*args)`` every ``delay`` seconds."""
        return self.timer.call_repeatedly(delay, callback, args)

    def stop(self, code: int | None = None) -> None:
        """As ``Hub.stop``."""
        self.hub.stop(code)

    # -- the end ---------------------------------------------------------------------------------

    def report(self, exc: BaseException) -> bool:
        """Take ``exc`` for the loss of the link, if it is that; the first one is told to ``on_error``."""
        if not isinstance(exc, self.errors) and not is_link_error(exc):
            return False
        on_error, self._on_error = self._on_error, None
        if on_error is None:
            logger.debug("The link was lost already: %r", exc)
        else:
            on_error(exc)
        return True

    def close(self) -> None:
        """Remove everything; may be called twice, and from one of the scope's own callbacks."""
        if self.closed:
            return
        self.closed = True
        self.on_tick.clear()
        self.timer.clear()
        for fd in list(self._writers):
            self.remove_writer(fd)
        for fd in list(self._readers):
            self.remove_reader(fd)
        self.poller.close()
        while self.on_close:
            self.hub.guard(self.on_close.pop(), (self,))

    def __repr__(self) -> str:
        state = "closed" if self.closed else f"R:{len(self._readers)} W:{len(self._writers)}"
        return f"<Scope@{id(self):#x}: {state}>"
