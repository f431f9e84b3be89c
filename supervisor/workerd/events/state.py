"""The cluster as this node has heard of it: a ``Worker`` for each node.

Times that others may look at are Unix time; whether a node is alive goes by the monotonic clock of this one,
so that a clock that is set takes nobody for lost.

Units:  seconds.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

logger = logging.getLogger(__name__)

Now = Callable[[], float]

EXPIRE_WINDOW = 2.0
"""A node is taken for lost when nothing was heard of it for so many of its own intervals."""

MOST_HEARTBEATS = 4
DRIFT = 16.0
"""Between the clocks of two machines, after which it is told once."""

LEAST_FREQ, MOST_FREQ = 0.1, 3600.0
"""Intervals that are believed."""

MOST_WORKERS = 10_000

FIELDS = ("pid", "freq", "active", "processed", "loadavg", "sw_ident", "sw_ver", "sw_sys")
"""What events tell of a node."""


class Worker:
    """One node; equal to another one of the same name."""

    def __init__(self, hostname: str, now: Now = time.monotonic) -> None:
        self.hostname = hostname
        self.pid: int | None = None
        self.freq = 60.0
        self.heartbeats: list[float] = []
        """When the last ones were heard of, in Unix time."""
        self.clock = 0
        self.active: int | None = None
        self.processed: int | None = None
        self.loadavg: list[float] | None = None
        self.sw_ident: str | None = None
        self.sw_ver: str | None = None
        self.sw_sys: str | None = None
        self._now, self._heard, self._drifts = now, 0.0, False

    @property
    def id(self) -> str:
        """How the node is named in elections."""
        return f"{self.hostname}.{self.pid}"

    @property
    def alive(self) -> bool:
        """Something was heard of it not long ago."""
        return bool(self.heartbeats) and self._now() < self.expires

    @property
    def expires(self) -> float:
        """When it is taken for lost if nothing more is heard, by the monotonic clock."""
        return self._heard + self.freq * EXPIRE_WINDOW

    @property
    def heartbeat_expires(self) -> float:
        """The same in Unix time."""
        return (self.heartbeats[-1] if self.heartbeats else 0.0) + self.freq * EXPIRE_WINDOW

    @property
    def status_string(self) -> str:
        return "ONLINE" if self.alive else "OFFLINE"

    def update(self, fields: Mapping[str, Any]) -> None:
        """Take over what an event tells."""
        for name in FIELDS:
            if name in fields:
                setattr(self, name, fields[name])
        if isinstance(clock := fields.get("clock"), int):
            self.clock = clock
        freq = fields.get("freq", self.freq)
        usable = isinstance(freq, (int, float)) and not isinstance(freq, bool)
        self.freq = min(max(float(freq), LEAST_FREQ), MOST_FREQ) if usable else 60.0

    def heard_of(self, received: float, timestamp: Any = None) -> None:
        """An event has come at the Unix time ``received``; it says that it was sent at ``timestamp``."""
        self._heard = self._now()
        self.heartbeats = [*self.heartbeats, received][-MOST_HEARTBEATS:]
        if isinstance(timestamp, (int, float)) and abs(received - timestamp) > DRIFT and not self._drifts:
            self._drifts = True
            logger.warning(
                "The clocks of this machine and of %s are %.0f s apart", self.hostname, received - timestamp
            )

    def forgive(self) -> None:
        """That nothing was heard of it is not its fault: its time begins anew."""
        self._heard = self._now()

    def leave(self) -> None:
        """It has said that it goes."""
        self.heartbeats = []

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Worker) and other.hostname == self.hostname

    def __hash__(self) -> int:
        return hash(self.hostname)

    def __repr__(self) -> str:
        return f"<Worker: {self.hostname} ({self.status_string} clock:{self.clock})>"


class OwnWorker(Worker):
    """This node itself, which is there as long as anybody asks."""

    @property
    def alive(self) -> bool:
        return True


class State:
    """The nodes by their names.  ``own`` is this one, if it is a node; it never joins or leaves."""

    def __init__(self, own: Worker | None = None, now: Now = time.monotonic, wall: Now = time.time) -> None:
        self.workers: dict[str, Worker] = {} if own is None else {own.hostname: own}
        self.event_count = 0
        self._own, self._now, self._wall = own, now, wall

    def alive_workers(self) -> list[Worker]:
        """All nodes that are there, this one too."""
        return [worker for worker in self.workers.values() if worker.alive]

    @property
    def others(self) -> list[Worker]:
        """All but this one, those too that are silent."""
        return [worker for worker in self.workers.values() if worker is not self._own]

    def event(self, event: Mapping[str, Any]) -> tuple[Worker | None, bool]:
        """Take an event of a worker: (the node, whether it was not known before); None for what is none."""
        hostname, kind = event.get("hostname"), event.get("type")
        if not isinstance(hostname, str) or not isinstance(kind, str) or not kind.startswith("worker-"):
            return None, False
        self.event_count += 1
        worker = self.workers.get(hostname)
        if kind == "worker-offline":
            return self._left(worker), False
        created = worker is None or not worker.heartbeats
        if worker is None:
            if len(self.workers) >= MOST_WORKERS:
                return None, False
            worker = self.workers[hostname] = Worker(hostname, self._now)
        worker.update(event)
        worker.heard_of(self._wall(), event.get("timestamp"))
        return worker, created and worker is not self._own

    def forget(self, worker: Worker) -> None:
        """It is not known any more; should it be heard of again, it is a new one."""
        if worker is not self._own:
            self.workers.pop(worker.hostname, None)

    def _left(self, worker: Worker | None) -> Worker | None:
        if worker is None or worker is self._own:
            return None
        worker.leave()
        self.forget(worker)
        return worker
