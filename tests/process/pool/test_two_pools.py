"""Two pools in one process, over one loop and one reaper."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process.pool.conftest import Notes, Rig, spec_of
from workerd_pool import Pool


class Second(Rig):
    """A pool beside the one of ``rig``."""

    def __init__(self, rig: Rig) -> None:
        self.loop, self.notes, self._last_id = rig.loop, Notes(), 1000
        self.pool = Pool(rig.loop, spec_of(), self.notes, rig.pool.reaper)
        self.pool.start()
        self.pool.want(1, "test")
        self.until(lambda: self.pool.alive == 1)


@pytest.fixture
def other(rig: Rig) -> Iterator[Second]:
    rig.boot(2)
    other = Second(rig)
    yield other
    other.pool.terminate()
    other.until(lambda: other.notes.empty)


def test_each_has_its_own_jobs_and_none_waits_for_the_other(rig: Rig, other: Second, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    long = other.start_job("wait_for", path=str(gate))
    assert (other.pool.free, rig.pool.free) == (0, 2)
    for _ in range(20):
        rig.run("echo", b"x")
    assert other.notes.done == {}
    gate.touch()
    other.until(lambda: long in other.notes.done)
    assert rig.pids().isdisjoint(other.pids())


def test_a_death_in_one_is_no_matter_of_the_other(rig: Rig, other: Second) -> None:
    [victim] = other.pids()
    before = rig.pids()
    os.kill(victim, signal.SIGKILL)
    rig.until(lambda: other.pool.alive == 1 and victim not in other.pids())
    assert rig.pids() == before
    assert rig.run("echo", b"x") and other.run("echo", b"x")


def test_each_tells_whom_another_size_would_retire(rig: Rig, other: Second, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    busy = rig.start_job("wait_for", path=str(gate))
    told = rig.pool.retired_by(0)
    assert [child.job_id for child in told] == [None, busy]
    assert [child.pid for child in rig.pool.retired_by(1)] == [told[0].pid]
    assert rig.pool.retired_by(2) == []
    assert (rig.pool.wanted, rig.pool.alive, other.pool.alive) == (2, 2, 1)
    gate.touch()
    rig.until(lambda: busy in rig.notes.done)


def test_the_end_of_one_leaves_the_other_serving(rig: Rig, other: Second) -> None:
    other.pool.close()
    other.until(lambda: other.notes.empty)
    assert rig.run("echo", b"x")
    assert other.pool.children() == [] and rig.pool.alive == 2
