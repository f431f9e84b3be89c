"""What a ``Scope`` shows in place of the hub's own timer, poller and tick set."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableSet, Sequence
from datetime import datetime
from queue import Empty
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from kombu.utils.eventio import poll

from workerd.worker.loop.hub import FileLike, descriptor
from workerd.worker.loop.timer import TimerEntry

if TYPE_CHECKING:
    from workerd.worker.loop.scope import Scope


class Owned:
    """A callback that belongs to a scope: silent once it is closed, and its lost link is reported there."""

    __slots__ = ("__wrapped__", "scope")

    def __init__(self, scope: Scope, callback: Callable[..., Any]) -> None:
        self.scope = scope
        self.__wrapped__ = callback

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.scope.closed:
            return None
        try:
            return self.__wrapped__(*args, **kwargs)
        except Empty:
            return None  # kombu's transports say so when nothing has come, such as each second on Redis
        except Exception as exc:
            if not self.scope.report(exc):
                raise
            return None


class TickSet(MutableSet[Callable[[], Any]]):
    """The scope's part of ``hub.on_tick``."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._owned: dict[Callable[[], Any], Owned] = {}

    def add(self, value: Callable[[], Any]) -> None:
        """Call ``value()`` in every turn of the hub."""
        if value not in self._owned and not self._scope.closed:
            owned = self._owned[value] = Owned(self._scope, value)
            self._scope.hub.on_tick.add(owned)

    def discard(self, value: Callable[[], Any]) -> None:
        """Call it no more."""
        owned = self._owned.pop(value, None)
        if owned is not None:
            self._scope.hub.on_tick.discard(owned)

    def __contains__(self, value: object) -> bool:
        return value in self._owned

    def __iter__(self) -> Iterator[Callable[[], Any]]:
        return iter(list(self._owned))

    def __len__(self) -> int:
        return len(self._owned)


class ScopedTimer:
    """The hub's timer, with entries that end with the scope."""

    Entry = TimerEntry

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._timer = scope.hub.timer
        self._entries: WeakSet[TimerEntry] = WeakSet()

    def call_after(
        self,
        secs: float,
        fun: Callable[..., Any],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        priority: int = 0,
    ) -> TimerEntry:
        """Call ``fun(*args, **kwargs)`` in ``secs`` seconds."""
        return self._keep(self._timer.call_after(secs, self._own(fun), args, kwargs, priority))

    def call_at(
        self,
        eta: float | datetime,
        fun: Callable[..., Any],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        priority: int = 0,
    ) -> TimerEntry:
        """Call ``fun(*args, **kwargs)`` at ``eta``."""
        return self._keep(self._timer.call_at(eta, self._own(fun), args, kwargs, priority))

    def call_repeatedly(
        self,
        secs: float,
        fun: Callable[..., Any],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        priority: int = 0,
    ) -> TimerEntry:
        """Call ``fun`` every ``secs`` seconds."""
        return self._keep(self._timer.call_repeatedly(secs, self._own(fun), args, kwargs, priority))

    def enter_after(self, secs: float, entry: TimerEntry, priority: int = 0) -> TimerEntry:
        """Fire ``entry`` in ``secs`` seconds."""
        entry.fun = self._own(entry.fun)
        return self._keep(self._timer.enter_after(secs, entry, priority))

    def enter_at(
        self, entry: TimerEntry, eta: float | datetime | None = None, priority: int = 0
    ) -> TimerEntry:
        """Fire ``entry`` at ``eta``."""
        entry.fun = self._own(entry.fun)
        return self._keep(self._timer.enter_at(entry, eta, priority))

    def cancel(self, tref: TimerEntry) -> None:
        """As ``tref.cancel()``."""
        tref.cancel()

    def clear(self) -> None:
        """Cancel what went through this scope; the rest of the hub's timer goes on."""
        for entry in list(self._entries):
            entry.cancel()
        self._entries.clear()

    def stop(self) -> None:
        """Nothing: the timer has no thread of its own."""

    @property
    def queue(self) -> list[tuple[float, int, TimerEntry]]:
        """(when, priority, entry) of this scope's entries, in order."""
        return [item for item in self._timer.queue if item[2] in self._entries]

    @property
    def schedule(self) -> ScopedTimer:
        """The timer itself, as in kombu."""
        return self

    def __len__(self) -> int:
        return len(self.queue)

    def __bool__(self) -> bool:
        return True

    def _own(self, fun: Callable[..., Any]) -> Callable[..., Any]:
        return fun if isinstance(fun, Owned) else Owned(self._scope, fun)

    def _keep(self, entry: TimerEntry) -> TimerEntry:
        if self._scope.closed:
            entry.cancel()
        else:
            self._entries.add(entry)
        return entry


class ScopedPoller:
    """The hub's poller, for transports that register sockets there themselves."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._flags: dict[int, int] = {}

    def register(self, fd: FileLike, flags: int) -> int:
        """Watch ``fd``; the callback comes with ``add_reader``."""
        number = descriptor(fd)
        if not self._scope.closed:
            self._scope.hub.watch(number, flags)
            self._flags[number] = flags
        return number

    def unregister(self, fd: FileLike) -> None:
        """Watch ``fd`` no more; another part's use of the same number is left alone."""
        number = descriptor(fd)
        hub = self._scope.hub
        reader = hub.readers.get(number)
        if self._flags.pop(number, None) is not None and (reader is None or self._scope.owns(reader)):
            hub.forget(number)

    def poll(self, timeout: float | None) -> list[tuple[int, int]]:
        """Wait for this scope's descriptors only: a blocking read must not take the hub's other events."""
        poller = poll()  # type: ignore[no-untyped-call]
        try:
            for number, flags in self._flags.items():
                poller.register(number, flags)
            return list(poller.poll(timeout) or ())
        finally:
            poller.close()

    def close(self) -> None:
        """Watch nothing more."""
        for number in list(self._flags):
            self.unregister(number)
