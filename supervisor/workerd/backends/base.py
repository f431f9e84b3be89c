"""What a result backend offers to clients and to children: plain blocking calls.

The supervisor stores results by ``backends.writer`` instead, which never blocks.

Units:   seconds.
Errors:  UnavailableError when the server cannot be reached, within ``connect_timeout`` or so;
         TimeoutError from ``wait_for`` and ``wait_for_many``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

import msgspec

from workerd.backends.chords import Chords
from workerd.protocol import exceptions
from workerd.protocol.result import Coding
from workerd.protocol.states import FAILURE, PENDING

Meta = dict[str, Any]

# A prefix that does not end in one of these gets an underscore, as Celery's backends do.
_SEPARATORS = ":_-."


class BackendOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What ``app.conf`` says about results; every field has the value that Celery starts with."""

    coding: Coding = Coding()
    expires: float | None = 86400.0
    failure_expires: float | None = None
    key_prefix: str = ""
    persistent: bool = False
    """Results that are messages outlive a restart of the broker."""
    socket_timeout: float | None = 120.0
    connect_timeout: float | None = 5.0
    keepalive: bool = False
    max_connections: int | None = None
    chord_expires: float | None = None
    """How long the counts of a chord are kept; as long as results if it is None."""
    chord_ordered: bool = True
    """The body takes the results in the order of the header, not in that of their ends."""
    health_check_interval: float = 0.0
    tls: Mapping[str, Any] = msgspec.field(default_factory=dict)

    def lifetime(self, state: str) -> int | None:
        """Whole seconds that a result in ``state`` is kept, None for ever."""
        seconds = self.expires
        if state == FAILURE and self.failure_expires is not None:
            seconds = self.failure_expires
        return max(1, math.ceil(seconds)) if seconds and seconds > 0 else None

    def messages(self) -> BackendOptions:
        """The same where results are messages, which nobody reads when they are compressed."""
        coding = msgspec.structs.replace(self.coding, compression=None)
        return msgspec.structs.replace(self, coding=coding)

    @property
    def delivery_mode(self) -> int:
        """Of results that are messages."""
        return 2 if self.persistent else 1

    def prefix(self) -> str:
        """What every key begins with."""
        bare = not self.key_prefix or self.key_prefix[-1] in _SEPARATORS
        return self.key_prefix if bare else f"{self.key_prefix}_"


class Backend(Protocol):
    """Results of one app."""

    enabled: bool
    """False when nothing is kept."""
    shared: bool
    """True when any process can read what is kept, as chords and saved groups need it."""

    def encode(self, meta: Mapping[str, Any]) -> bytes:
        """The bytes that ``store`` would keep."""

    def store(self, task_id: str, state: str, data: bytes) -> None:
        """Keep an encoded meta and tell those who wait; never in place of a SUCCESS."""

    def get_meta(self, task_id: str) -> Meta:
        """What is known of a task; PENDING when nothing is."""

    def wait_for(self, task_id: str, timeout: float | None = None) -> Meta:
        """The meta of a task that has ended, as soon as it has."""

    def wait_for_many(
        self, task_ids: Iterable[str], timeout: float | None = None
    ) -> Iterator[tuple[str, Meta]]:
        """Each task's id and meta as soon as it has ended, in the order in which they end."""

    def forget(self, task_id: str) -> None:
        """Remove what is known of a task."""

    @property
    def chords(self) -> Chords | None:
        """Counts the parts of chords; None where ``celery.chord_unlock`` looks for them instead."""

    def decode(self, data: bytes) -> dict[str, Any]:
        """What ``encode`` has written."""

    def save_group(self, group_id: str, data: bytes) -> None:
        """Keep which results a group has, encoded."""

    def load_group(self, group_id: str) -> bytes | None:
        """What ``save_group`` has kept."""

    def forget_group(self, group_id: str) -> None:
        """Remove what ``save_group`` has kept."""

    def close(self) -> None:
        """Let go of every connection."""


class UnstorableError(ValueError):
    """A result that no try will ever store: its id or its size is not for this backend."""


def pending(task_id: str) -> Meta:
    """The meta of a task that nothing is known of."""
    return {"status": PENDING, "result": None, "traceback": None, "children": None, "task_id": task_id}


def not_in_time(task_ids: Iterable[str], timeout: float | None) -> exceptions.TimeoutError:
    """The error that says which tasks have not ended."""
    names = list(task_ids)
    which = f"task {names[0]} has" if len(names) == 1 else f"{len(names)} tasks, {names[0]} among them, have"
    return exceptions.TimeoutError(f"{which} not ended within {timeout or 0:g} s")
