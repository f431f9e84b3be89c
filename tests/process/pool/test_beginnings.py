"""When a job counts as begun: its child does not say so, the pool sees that it was read."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from tests.process.pool.conftest import Notes, Rig, stop
from workerd_pool import Death, Job
from workerd_pool.frames import INLINE

BODIES = [pytest.param(b"", id="inline"), pytest.param(b"x" * (INLINE + 1), id="by-memfd")]


@pytest.mark.parametrize("body", BODIES)
def test_a_job_has_begun_when_its_child_has_read_it_and_not_before(rig: Rig, body: bytes) -> None:
    rig.boot(1)
    (child,) = rig.pids()
    stop(child)
    job = rig.submit("sleep", body, seconds=60)
    assert rig.pool.child(child).job_id is None  # type: ignore[union-attr]
    assert not rig.pool.kill_job(job, "before it has begun")
    assert not rig.notes.started
    os.kill(child, signal.SIGCONT)
    rig.until(lambda: job in rig.notes.started)
    (told,) = rig.pool.children()
    assert (told.state, told.job_id) == ("BUSY", job)
    assert rig.pool.kill_job(job, "once it has begun")
    rig.until(lambda: job in rig.notes.lost)


def test_who_asks_is_told_at_once_that_it_has_begun(rig: Rig) -> None:
    rig.boot(1)
    job = rig.submit("sleep", seconds=60)
    # No turn of the loop: nothing but the question itself finds it out.
    while rig.pool.children()[0].job_id is None:
        continue
    assert list(rig.notes.started) == [job]


def test_a_job_behind_one_that_was_given_to_a_waiting_child_has_not_begun(rig: Rig) -> None:
    rig.boot(1)
    rig.quicken()
    (child,) = rig.pids()
    stop(child)
    first, second = rig.submit("wait_for", path="/"), rig.submit("sleep", b"x" * (INLINE + 1), seconds=60)
    assert rig.pool.children()[0].job_id is None
    os.kill(child, signal.SIGCONT)
    rig.until(lambda: second in rig.notes.started)
    assert list(rig.notes.started)[-2:] == [first, second]
    assert list(rig.notes.done)[-1] == first


class Order(Notes):
    """Notes what is told of jobs, in its order."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []

    def on_started(self, job: Job, pid: int) -> None:
        self.told.append("begun")

    def on_done(self, job: Job, header: dict[str, Any], body: bytes) -> None:
        self.told.append("done")

    def on_lost(self, job: Job, death: Death) -> None:
        self.told.append("lost")


@pytest.mark.parametrize(("do", "end"), [("echo", "done"), ("killing_itself", "lost")])
def test_a_job_that_ends_before_anybody_has_looked_is_told_as_begun_first(
    rig: Rig, do: str, end: str
) -> None:
    notes = rig.notes = Order()
    rig.boot(1)
    rig.submit(do)
    rig.until(lambda: end in notes.told)
    assert notes.told == ["begun", end]


def test_a_job_that_only_waited_for_its_child_is_not_lost_with_it(rig: Rig) -> None:
    rig.boot(2)
    stopped = min(rig.pids())
    stop(stopped)
    jobs = [rig.submit("echo") for _ in range(2)]
    os.kill(stopped, signal.SIGKILL)
    rig.until(lambda: set(jobs) <= {*rig.notes.done, *rig.notes.returned})
    assert len(rig.notes.returned) == 1
    assert not rig.notes.lost
    assert not set(rig.notes.returned) & set(rig.notes.started)
