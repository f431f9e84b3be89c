"""Revokes: what must not be run although its message may come.

By id they hold for ``keep`` seconds and are the ``most`` last ones; by stamp until the daemon ends, and the
``MOST_STAMPED`` last ones.

Units: seconds; ``until`` is Unix time, so that it means the same after a restart.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from workerd.protocol.envelope import MalformedError
from workerd.protocol.incoming import open_payload

if TYPE_CHECKING:
    from workerd.clock import Clock
    from workerd.protocol.message import Message

MOST = 50_000
KEEP = 3 * 3600.0
"""Celery's own bounds."""

MOST_STAMPED = 10_000
"""Values of stamps, all told."""

Stamp = tuple[str, Any]


class Memory(Protocol):
    """Keeps ids over restarts.  Nothing here raises."""

    def add(self, ids: Collection[str], until: float) -> None:
        """They are revoked until then."""

    def remove(self, ids: Collection[str]) -> None:
        """They need not be kept any more."""


class Revokes:
    """False while nothing is revoked."""

    def __init__(self, clock: Clock, most: int = MOST, keep: float = KEEP) -> None:
        self._clock, self._most, self._keep = clock, most, keep
        self._until: dict[str, float] = {}  # the oldest first
        self._memory: Memory | None = None
        self._stamps: dict[Stamp, None] = {}

    def __bool__(self) -> bool:
        return bool(self._until or self._stamps)

    def __contains__(self, task_id: object) -> bool:
        until = self._until.get(task_id) if isinstance(task_id, str) else None
        return until is not None and until > self._clock.wall()

    def remember(self, memory: Memory, known: Mapping[str, float]) -> None:
        """Keep ids in ``memory`` from now on, in which these ``known`` ones were found, the oldest first."""
        self._memory = memory
        self._until = {**known, **self._until}
        self.purge()

    @property
    def ids(self) -> list[str]:
        """Those that still hold, the oldest first."""
        self.purge()
        return list(self._until)

    def add(self, ids: Iterable[str]) -> None:
        """From now on."""
        until, several = self._clock.wall() + self._keep, list(ids)
        for task_id in several:
            self._until.pop(task_id, None)  # so that the oldest stay the first
            self._until[task_id] = until
        if self._memory is not None and several:
            self._memory.add(several, until)
        self.purge()

    def add_stamps(self, stamps: Mapping[str, Collection[Any]]) -> None:
        """From now on."""
        for name, values in stamps.items():
            self._stamps |= {(name, value): None for value in values if _hashable(value)}
        while len(self._stamps) > MOST_STAMPED:
            del self._stamps[next(iter(self._stamps))]

    def purge(self) -> None:
        """Forget what is too old or too many."""
        now, gone = self._clock.wall(), list[str]()
        while self._until:
            oldest, until = next(iter(self._until.items()))
            if until > now and len(self._until) <= self._most:
                break
            del self._until[oldest]
            gone.append(oldest)
        if self._memory is not None and gone:
            self._memory.remove(gone)

    def hold(self, message: Message) -> bool:
        """This message must not be run."""
        return message.id in self or bool(self._stamps and self._borne(message))

    def _borne(self, message: Message) -> set[Stamp]:
        borne = {(name, value) for name, values in stamps_of(message).items() for value in values}
        return borne & self._stamps.keys()


def stamps_of(message: Message) -> dict[str, set[Any]]:
    """The values of each stamp that the message bears."""
    try:
        headers = open_payload(message.payload).headers
    except MalformedError:
        return {}
    stamps, named = headers.get("stamps"), headers.get("stamped_headers")
    if not isinstance(stamps, dict) or not isinstance(named, (list, tuple)):
        return {}
    return {name: _values(stamps[name]) for name in named if isinstance(name, str) and name in stamps}


def _values(value: Any) -> set[Any]:
    several = value if isinstance(value, (list, tuple, set)) else (value,)
    return {one for one in several if _hashable(one)}


def _hashable(value: Any) -> bool:
    return isinstance(value, (str, int, float, bool, bytes)) or value is None
