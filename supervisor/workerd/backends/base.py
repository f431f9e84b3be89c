"""What a result backend offers to clients and to children: plain blocking calls.

The supervisor stores results by ``backends.writer`` instead, which never blocks.

Units:   seconds.
Errors:  UnavailableError when the server cannot be reached, within ``connect_timeout`` or so;
         TimeoutError from ``wait_for``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

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
    socket_timeout: float | None = 120.0
    connect_timeout: float | None = 5.0
    keepalive: bool = False
    max_connections: int | None = None
    health_check_interval: float = 0.0
    tls: Mapping[str, Any] = msgspec.field(default_factory=dict)

    def lifetime(self, state: str) -> int | None:
        """Whole seconds that a result in ``state`` is kept, None for ever."""
        seconds = self.expires
        if state == FAILURE and self.failure_expires is not None:
            seconds = self.failure_expires
        return max(1, math.ceil(seconds)) if seconds and seconds > 0 else None

    def prefix(self) -> str:
        """What every key begins with."""
        bare = not self.key_prefix or self.key_prefix[-1] in _SEPARATORS
        return self.key_prefix if bare else f"{self.key_prefix}_"


class Backend(Protocol):
    """Results of one app."""

    enabled: bool
    """False when nothing is kept."""

    def encode(self, meta: Mapping[str, Any]) -> bytes:
        """The bytes that ``store`` would keep."""

    def store(self, task_id: str, state: str, data: bytes) -> None:
        """Keep an encoded meta and tell those who wait; never in place of a SUCCESS."""

    def get_meta(self, task_id: str) -> Meta:
        """What is known of a task; PENDING when nothing is."""

    def wait_for(self, task_id: str, timeout: float | None = None) -> Meta:
        """The meta of a task that has ended, as soon as it has."""

    def forget(self, task_id: str) -> None:
        """Remove what is known of a task."""

    def close(self) -> None:
        """Let go of every connection."""


def pending(task_id: str) -> Meta:
    """The meta of a task that nothing is known of."""
    return {"status": PENDING, "result": None, "traceback": None, "children": None, "task_id": task_id}
