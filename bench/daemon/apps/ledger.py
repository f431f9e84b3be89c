"""Which tasks were sent, which began, when and how often: one file that every process of a run maps.

A note costs a task about 0.2 µs and no system call, so that it does not matter which contender pays it.

Units: nanoseconds of the monotonic clock, which all processes share.
"""

from __future__ import annotations

import mmap
import os
import time
from pathlib import Path

_BYTES = 1 + 8 + 8
"""Of one task: how often it began, when it last did, when it was sent."""


class Ledger:
    """Of the tasks 0 to ``tasks - 1``."""

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 0)
        self.tasks = len(self._map) // _BYTES
        view = memoryview(self._map)
        self.began = view[: self.tasks * 8].cast("q")
        self.sent = view[self.tasks * 8 : self.tasks * 16].cast("q")
        self.counts = view[self.tasks * 16 :]

    @classmethod
    def create(cls, path: Path, tasks: int) -> Ledger:
        """A new one, in which nothing has happened."""
        with path.open("wb") as file:
            file.truncate(tasks * _BYTES)
        return cls(path)

    @classmethod
    def of_run(cls) -> Ledger:
        """The one that the driver has made; children inherit the mapping when they are forked."""
        return cls(Path(os.environ["BENCH_LEDGER"]))

    def note(self, task: int) -> None:
        """``task`` begins."""
        self.began[task] = time.monotonic_ns()
        self.counts[task] += 1

    def note_sent(self, task: int) -> None:
        """A client is about to send ``task``."""
        self.sent[task] = time.monotonic_ns()

    def done(self) -> int:
        """How many tasks have begun at least once."""
        return self.tasks - self._map[self.tasks * 16 :].count(0)

    def repeated(self) -> int:
        """How many tasks have begun more than once."""
        counts = self._map[self.tasks * 16 :]
        return self.tasks - counts.count(0) - counts.count(1)

    def in_order(self) -> list[int]:
        """When tasks began, the earliest first."""
        return sorted(began for began in self.began if began)
