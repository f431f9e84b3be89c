"""A pool with a loop and a listener that writes everything down."""

from __future__ import annotations

import gc
import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.eventually import eventually
from tests.support.loop import SelectorLoop
from workerd_pool import Death, Job, Line, Pool, Spec
from workerd_pool.cgroup import Cgroup

ROOT = str(Path(__file__).resolve().parents[3])


class Notes:
    """The Listener: facts in the order of their coming."""

    def __init__(self) -> None:
        self.up: list[tuple[int, dict[str, Any]]] = []
        self.passed: list[int] = []
        self.settled: list[int] = []
        self.complete: list[int] = []
        self.failed: list[tuple[int, str, str]] = []
        self.started: dict[int, int] = {}
        self.progress: list[tuple[int, dict[str, Any], bytes]] = []
        self.done: dict[int, tuple[dict[str, Any], bytes]] = {}
        self.lost: dict[int, Death] = {}
        self.returned: list[int] = []
        self.lines: list[Line] = []
        self.degraded: list[str | None] = []
        self.empty = 0
        self.making = 0
        self.free = 0
        self.when_free: Callable[[], None] = lambda: None

    def on_passed(self, generation: int) -> None:
        self.passed.append(generation)

    def on_up(self, generation: int, table: dict[str, Any]) -> None:
        self.up.append((generation, table))

    def on_settled(self, generation: int) -> None:
        self.settled.append(generation)

    def on_complete(self, generation: int) -> None:
        self.complete.append(generation)

    def on_generation_failed(self, generation: int, reason: str, traceback: str) -> None:
        self.failed.append((generation, reason, traceback))

    def on_free(self) -> None:
        self.free += 1
        self.when_free()

    def on_making(self) -> None:
        self.making += 1

    def on_started(self, job: Job, pid: int) -> None:
        self.started[job.id] = pid

    def on_progress(self, job: Job, header: dict[str, Any], body: bytes) -> None:
        self.progress.append((job.id, header, body))

    def on_done(self, job: Job, header: dict[str, Any], body: bytes) -> None:
        assert job.id not in self.done, "a job was done twice"
        self.done[job.id] = header, body

    def on_lost(self, job: Job, death: Death) -> None:
        self.lost[job.id] = death

    def on_returned(self, job: Job) -> None:
        self.returned.append(job.id)

    def on_output(self, line: Line) -> None:
        self.lines.append(line)

    def on_degraded(self, reason: str | None) -> None:
        self.degraded.append(reason)

    def on_empty(self) -> None:
        self.empty += 1


def spec_of(**options: Any) -> Spec:
    return Spec(
        "tests.process.pool.app:load",
        json.dumps(options).encode(),
        name="t",
        path=(ROOT,),
        env={"WORKERD_TEST": "pool"},
        boot_timeout=options.get("boot_timeout", 60.0),
        soft_limit=options.get("soft_limit"),
        hard_limit=options.get("hard_limit"),
        max_jobs=options.get("max_jobs"),
        max_memory=options.get("max_memory"),
        soft_memory=options.get("soft_memory"),
        hard_memory=options.get("hard_memory"),
        open_files=options.get("open_files"),
    )


class Rig:
    """One pool, its loop and its notes."""

    def __init__(self, loop: SelectorLoop | None = None) -> None:
        self.loop = loop or SelectorLoop()
        self.notes = Notes()
        self.pool = Pool(self.loop, spec_of(), self.notes)
        self.options: dict[str, Any] = {}  # of every boot
        self._last_id = 0
        # Brokers of other tests may live beside; what a pool leaves behind is adopted, so it is a child too.
        self._before = direct_children()

    def begin(self, n: int, cgroup: Cgroup | None = None, **options: Any) -> Rig:
        self.pool = Pool(self.loop, spec_of(**self.options, **options), self.notes, cgroup=cgroup)
        self.pool.start()
        self.pool.want(n, "test")
        return self

    def boot(self, n: int, cgroup: Cgroup | None = None, **options: Any) -> Rig:
        self.begin(n, cgroup, **options)
        self.until(lambda: self.pool.alive == n and self.notes.complete)
        self.notes.settled.clear()
        self.notes.complete.clear()
        return self

    def until(self, fact: Callable[[], Any], within: float = 20.0) -> Any:
        return self.loop.until(fact, within)

    def job(self, do: str, body: bytes = b"", **words: Any) -> Job:
        limits = {key: words.pop(key) for key in ("soft_limit", "hard_limit") if key in words}
        self._last_id += 1
        return Job(self._last_id, {"do": do, **words}, body, title=f"proj.{do}[{self._last_id}]", **limits)

    def submit(self, do: str, body: bytes = b"", **words: Any) -> int:
        job = self.job(do, body, **words)
        self.pool.submit(job)
        return job.id

    def run(self, do: str, body: bytes = b"", **words: Any) -> tuple[dict[str, Any], bytes]:
        """Submit and wait for the outcome."""
        self.until(lambda: self.pool.free > 0)
        job_id = self.submit(do, body, **words)
        self.until(lambda: job_id in self.notes.done)
        return self.notes.done[job_id]

    def start_job(self, do: str, body: bytes = b"", **words: Any) -> int:
        """Submit and wait until it has begun."""
        job_id = self.submit(do, body, **words)
        self.until(lambda: job_id in self.notes.started)
        return job_id

    def quicken(self) -> None:
        """Short jobs until the pool lets several of them wait at a child, however busy the machine is."""
        eventually(lambda: self.run("echo") and self.pool.info()["depth"] > 4, within=60, every=0.0)

    def pids(self) -> set[int]:
        return {child.pid for child in self.pool.children()}

    def template_pid(self) -> int:
        return self.template_pids()[0]

    def template_pids(self) -> list[int]:
        return [template["pid"] for template in self.pool.info()["templates"]]

    def end(self) -> None:
        self.pool.terminate()
        if self.pool.info()["templates"] or self.pool.children() or not self.notes.empty:
            self.until(lambda: self.notes.empty)
        assert self.notes.empty == 1
        assert self.loop.descriptors == 0
        eventually(self._reaped)
        self.pool.reaper.close()

    def _reaped(self) -> bool:
        self.pool.reaper.reap()
        return direct_children() <= self._before


def stop(pid: int) -> None:
    """SIGSTOP; until the child has really stopped it may read one job more."""
    os.kill(pid, signal.SIGSTOP)
    eventually(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED)


def direct_children() -> set[int]:
    return {process.pid for process in psutil.Process().children()}


def open_fds() -> set[str]:
    return set(os.listdir("/proc/self/fd"))  # noqa: PTH208


both = pytest.mark.parametrize("rig", ["forked", "spawned"], indirect=True)
"""A test with children that a template forks, and again with children that import the code themselves."""


@pytest.fixture
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    """Ends by asserting that no process and no descriptor is left."""
    gc.collect()  # what earlier tests dropped without closing is not this one's
    before = len(open_fds())
    rig = Rig()
    rig.options = {"thread": True} if getattr(request, "param", "") == "spawned" else {}
    yield rig
    rig.end()
    rig.loop.close()
    assert len(open_fds()) == before
