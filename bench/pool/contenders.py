"""The pools that are compared, behind one shape: ``drain`` many jobs, or ``one`` job alone.

Each gives a result for every job and notices the death of a child in its own way.  Every pool is started,
and has run a job in each child, before anything is measured.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import billiard

from bench.pool.jobs import begun
from workerd.worker.loop.hub import Hub
from workerd_pool import Job, Pool, Spec

ROOT = Path(__file__).parents[2]


class Contender(Protocol):
    """A pool that is up."""

    def drain(self, payload: bytes, jobs: int) -> None:
        """Run ``jobs`` jobs and take the result of each."""

    def one(self, payload: bytes) -> int:
        """Run one job; the nanosecond in which it began."""


class Ours:
    """``workerd_pool`` in the daemon's own event loop, every job with an armed soft and hard limit."""

    def __init__(self, children: int) -> None:
        self._hub = Hub()
        self._payload = b""
        self._to_give = self._left = self._began = self._number = 0
        self._empty = False
        spec = Spec("bench.pool.jobs:load", path=(str(ROOT),), soft_limit=600.0, hard_limit=660.0)
        self.pool = Pool(self._hub, spec, self)  # type: ignore[arg-type]
        self.pool.start()
        self.pool.want(children)
        while self.pool.alive < children:
            self._hub.turn()

    def drain(self, payload: bytes, jobs: int) -> None:
        self._payload, self._to_give, self._left = payload, jobs, jobs
        self.on_free()
        while self._left:
            self._hub.turn()

    def one(self, payload: bytes) -> int:
        self.drain(payload, 1)
        return self._began

    def close(self) -> None:
        self.pool.close()
        while not self._empty:
            self._hub.turn()
        self.pool.reaper.close()
        self._hub.dispose()

    def on_free(self) -> None:
        # Made when there is room, as the peers take them from a generator.
        submit, payload, number = self.pool.submit, self._payload, self._number
        give = min(self.pool.free, self._to_give)
        for job_id in range(number + 1, number + 1 + give):
            submit(Job(job_id, {}, payload, title="noop"))
        self._to_give -= give
        self._number += give

    def on_started(self, job: Job, pid: int) -> None:
        """As for the peers, which do not tell."""

    def on_done(self, job: Job, header: dict[str, Any], body: bytes) -> None:
        self._left -= 1
        self._began = int.from_bytes(body, "little")

    def on_empty(self) -> None:
        self._empty = True

    def __getattr__(self, name: str) -> Callable[..., None]:
        if name.startswith("on_"):
            return lambda *facts: None  # the other facts of the pool
        raise AttributeError(name)


class Mapped:
    """A pool with ``imap_unordered``: multiprocessing's and billiard's."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    def drain(self, payload: bytes, jobs: int) -> None:
        for _ in self._pool.imap_unordered(begun, (payload for _ in range(jobs)), chunksize=1):
            pass

    def one(self, payload: bytes) -> int:
        found: int = self._pool.apply(begun, (payload,))
        return found


class Executor:
    """``concurrent.futures``."""

    def __init__(self, pool: ProcessPoolExecutor) -> None:
        self._pool = pool

    def drain(self, payload: bytes, jobs: int) -> None:
        for _ in self._pool.map(begun, (payload for _ in range(jobs)), chunksize=1):
            pass

    def one(self, payload: bytes) -> int:
        return self._pool.submit(begun, payload).result()


@contextmanager
def workerd_pool(children: int) -> Iterator[Contender]:
    ours = Ours(children)
    try:
        yield ours
    finally:
        ours.close()


@contextmanager
def multiprocessing_pool(children: int) -> Iterator[Contender]:
    with multiprocessing.get_context("fork").Pool(children) as pool:
        yield Mapped(pool)
        pool.close()
        pool.join()


@contextmanager
def billiard_pool(children: int) -> Iterator[Contender]:
    pool = billiard.Pool(children)
    try:
        yield Mapped(pool)
    finally:
        pool.close()
        pool.join()


@contextmanager
def process_pool_executor(children: int) -> Iterator[Contender]:
    with ProcessPoolExecutor(children, mp_context=multiprocessing.get_context("fork")) as pool:
        yield Executor(pool)


CONTENDERS: dict[str, Callable[[int], Any]] = {
    "workerd_pool": workerd_pool,
    "multiprocessing.Pool": multiprocessing_pool,
    "billiard.Pool": billiard_pool,
    "ProcessPoolExecutor": process_pool_executor,
}


def warm(contender: Contender, payload: bytes, within: float = 0.3) -> None:
    """Keep every child busy for a moment, so that nothing is measured that is paid once."""
    end = time.monotonic() + within
    while time.monotonic() < end:
        contender.drain(payload, 200)
