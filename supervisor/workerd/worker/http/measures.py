"""Measures: what is counted of each task and pool for metrics, only where metrics are served.

Units:  seconds.
Source: the shape of a Prometheus histogram, kept as plain counts until somebody asks.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from workerd.protocol.exceptions import NotRegistered

if TYPE_CHECKING:
    from workerd.delivery import Outcome, Request
    from workerd.source.base import Delivery

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 3600.0)
"""Upper ends of the buckets: from what the daemon itself takes to what RabbitMQ waits for, and beyond."""

MOST = 200
"""Tasks that are counted by name; all further ones together are ``OTHER``."""

OTHER = "(other)"
UNKNOWN = "(unknown)"
"""Names that the app does not know: whoever sends could make up any number of them."""

STATES = {
    "SUCCESS": "succeeded",
    "FAILURE": "failed",
    "RETRY": "retried",
    "IGNORED": "ignored",
    "REJECTED": "rejected",
    "REVOKED": "revoked",
}


class Histogram:
    """Counts by bucket, the last one for all that is longer, and their sum."""

    __slots__ = ("counts", "sum")

    def __init__(self) -> None:
        self.counts, self.sum = [0] * (len(BOUNDS) + 1), 0.0

    def add(self, seconds: float) -> None:
        """One more; a clock that was put back makes nothing negative."""
        seconds = max(seconds, 0.0)
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.sum += seconds

    def plain(self) -> dict[str, Any]:
        return {"counts": self.counts, "sum": round(self.sum, 6)}


class Measures:
    """Implements ``delivery.events.TaskEvents``."""

    def __init__(self) -> None:
        self.runs: defaultdict[str, Counter[str]] = defaultdict(Counter)
        """By task, and by how they ended."""
        self.runtimes: defaultdict[str, Histogram] = defaultdict(Histogram)
        """By task."""
        self.waits: defaultdict[str, Histogram] = defaultdict(Histogram)
        """By pool: from a message's coming, or its ETA, to the beginning of its run."""

    def plain(self) -> dict[str, Any]:
        """As values that JSON has."""
        return {
            "runs": self.runs,
            "runtimes": {task: found.plain() for task, found in self.runtimes.items()},
            "waits": {pool: found.plain() for pool, found in self.waits.items()},
        }

    def received(self, request: Request) -> None:
        """It is counted when it begins."""

    def started(self, request: Request) -> None:
        since = max(request.received, request.message.eta or 0.0)
        self.waits[request.pool].add((request.time_start or since) - since)

    def ended(self, request: Request, outcome: Outcome) -> None:
        if (state := STATES.get(outcome.state)) is None:
            return  # a bug of ours, which ``failed`` is told
        task = self._label(request)
        self.runs[task][state] += 1
        if outcome.runtime is not None:
            self.runtimes[task].add(outcome.runtime)

    def failed(self, request: Request, exception: Exception) -> None:
        task = UNKNOWN if isinstance(exception, NotRegistered) else self._label(request)
        self.runs[task]["failed"] += 1

    def revoked(
        self, request: Request, *, terminated: bool = False, killed: bool = False, expired: bool = False
    ) -> None:
        self.runs[self._label(request)]["expired" if expired else "revoked"] += 1

    def told(self, request: Request, kind: str, fields: Mapping[str, Any]) -> None:
        """A task's own events are its own."""

    def unreadable(self, delivery: Delivery) -> None:
        """Counted as put aside."""

    def _label(self, request: Request) -> str:
        task = request.message.task
        return task if task in self.runs or len(self.runs) < MOST else OTHER
