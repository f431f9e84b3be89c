"""Timer: the hub's scheduler, with the methods of kombu's.

Entries of the same time and priority fire in the order in which they were made, ``due`` gives all of
them at once, and cancelled entries do not pile up until their time comes.

Units:  seconds of the monotonic clock; ``call_at`` takes a ``datetime`` too (a naive one means UTC).
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import count
from typing import Any, Protocol

# Below this length a heap is not worth cleaning.
COMPACT_AT = 64


class TimerEntry:
    """One scheduled call; once cancelled it never fires."""

    __slots__ = ("__weakref__", "args", "canceled", "fun", "kwargs")

    def __init__(
        self, fun: Callable[..., Any], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> None:
        self.fun, self.args, self.kwargs = fun, args or (), kwargs or {}
        self.canceled = False

    def __call__(self) -> Any:
        return self.fun(*self.args, **self.kwargs)

    @property
    def cancelled(self) -> bool:
        """The same as ``canceled``."""
        return self.canceled

    @property
    def __wrapped__(self) -> Callable[..., Any]:
        return self.fun  # what logs should name

    def cancel(self) -> None:
        """Never fire (again)."""
        self.canceled = True

    def __repr__(self) -> str:
        return f"<TimerEntry: {self.fun!r}{' canceled' if self.canceled else ''}>"


class Timer:
    """Calls at a time.  A lower ``priority`` goes first among entries of the same time."""

    Entry = TimerEntry

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._heap: list[tuple[float, int, int, TimerEntry]] = []  # (when, priority, number, entry)
        self._numbers = count()
        self._compact_at = COMPACT_AT

    def call_after(
        self,
        secs: float,
        fun: Callable[..., Any],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        priority: int = 0,
    ) -> TimerEntry:
        """Call ``fun(*args, **kwargs)`` in ``secs`` seconds."""
        return self.enter_after(secs, TimerEntry(fun, args, kwargs), priority)

    def call_at(
        self,
        eta: float | datetime,
        fun: Callable[..., Any],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        priority: int = 0,
    ) -> TimerEntry:
        """Call ``fun(*args, **kwargs)`` at ``eta``."""
        return self.enter_at(TimerEntry(fun, args, kwargs), eta, priority)

    def call_repeatedly(
        self,
        secs: float,
        fun: Callable[..., Any],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        priority: int = 0,
    ) -> TimerEntry:
        """Call ``fun`` every ``secs`` seconds until the entry is cancelled, also after it has raised."""

        def again(*args: Any, **kwargs: Any) -> Any:
            try:
                return fun(*args, **kwargs)
            finally:
                # From the end of the call: a slow one delays the next and never bunches them up.
                if not entry.canceled:
                    self.enter_after(secs, entry, priority)

        again.__wrapped__ = fun  # type: ignore[attr-defined]  # what logs should name
        entry = TimerEntry(again, args, kwargs)
        return self.enter_after(secs, entry, priority)

    def enter_after(self, secs: float, entry: TimerEntry, priority: int = 0) -> TimerEntry:
        """Fire ``entry`` in ``secs`` seconds."""
        return self._enter(self._now() + float(secs), entry, priority)

    def enter_at(
        self, entry: TimerEntry, eta: float | datetime | None = None, priority: int = 0
    ) -> TimerEntry:
        """Fire ``entry`` at ``eta``; None means as soon as possible."""
        if isinstance(eta, datetime):
            aware = eta if eta.tzinfo is not None else eta.replace(tzinfo=UTC)
            return self.enter_after(aware.timestamp() - time.time(), entry, priority)
        return self._enter(self._now() if eta is None else float(eta), entry, priority)

    def cancel(self, tref: TimerEntry) -> None:
        """As ``tref.cancel()``."""
        tref.cancel()

    def clear(self) -> None:
        """Cancel everything."""
        for *_, entry in self._heap:
            entry.cancel()
        self._heap.clear()

    def stop(self) -> None:
        """Nothing: the timer has no thread of its own."""

    def due(self) -> list[TimerEntry]:
        """Take out every entry whose time has come, in order; cancelled ones too."""
        now, taken = self._now(), []
        while self._heap and self._heap[0][0] <= now:
            taken.append(heapq.heappop(self._heap)[3])
        return taken

    def wait(self) -> float | None:
        """Seconds until the next entry is due, 0 when one is; None when nothing is scheduled."""
        while self._heap and self._heap[0][3].canceled:
            heapq.heappop(self._heap)
        return max(0.0, self._heap[0][0] - self._now()) if self._heap else None

    @property
    def queue(self) -> list[tuple[float, int, TimerEntry]]:
        """(when, priority, entry) for all that is scheduled, in order; a copy."""
        return [(when, priority, entry) for when, priority, _, entry in sorted(self._heap)]

    @property
    def schedule(self) -> Timer:
        """The timer itself, as in kombu."""
        return self

    def __len__(self) -> int:
        return len(self._heap)

    def __bool__(self) -> bool:
        return True

    def _enter(self, when: float, entry: TimerEntry, priority: int) -> TimerEntry:
        if len(self._heap) >= self._compact_at:
            # Task limits are nearly always cancelled: at 1,000 tasks a second with a limit of an hour,
            # 3.6 million dead entries would wait here.
            self._heap = [item for item in self._heap if not item[3].canceled]
            heapq.heapify(self._heap)
            self._compact_at = max(COMPACT_AT, 2 * len(self._heap))
        heapq.heappush(self._heap, (when, priority, next(self._numbers), entry))
        return entry


class HasTimer(Protocol):
    """Whoever has one some day."""

    timer: Any


class LateTimer:
    """The timer of ``owner``, for those who are there before it is made."""

    def __init__(self, owner: HasTimer) -> None:
        self._owner = owner

    def call_after(self, *args: Any, **kwargs: Any) -> Any:
        return self._owner.timer.call_after(*args, **kwargs)
