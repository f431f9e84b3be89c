"""Children that have served enough."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.process.pool.conftest import Rig
from workerd_pool import Job

MB = 1 << 20


def test_a_child_runs_so_many_jobs_and_no_more(rig: Rig) -> None:
    rig.boot(1, max_jobs=3)
    pids = [rig.run("echo")[0]["pid"] for _ in range(7)]
    assert [pids.count(pid) for pid in dict.fromkeys(pids)] == [3, 3, 1]
    assert rig.notes.degraded == []
    rig.until(lambda: len(rig.pool.children()) == 1 and rig.pool.alive == 1)


def test_also_when_many_short_jobs_wait_at_the_children(rig: Rig) -> None:
    rig.boot(2, max_jobs=7)
    todo, ids = 400, list[int]()

    def feed() -> None:
        while len(ids) < todo and rig.pool.free:
            ids.append(rig.submit("echo"))

    rig.notes.when_free = feed
    feed()
    rig.until(lambda: len(rig.notes.done) == todo)
    pids = [header["pid"] for header, _ in rig.notes.done.values()]
    assert max(pids.count(pid) for pid in set(pids)) == 7
    assert sorted(rig.notes.done) == ids and not rig.notes.lost and not rig.notes.returned


def test_the_replacement_is_ready_when_the_last_job_ends_and_gets_no_job_before(
    rig: Rig, tmp_path: Path
) -> None:
    rig.boot(2, max_jobs=1)
    gates = [tmp_path / "a", tmp_path / "b"]
    first, second = (rig.start_job("wait_for", path=str(gate)) for gate in gates)
    # Both have begun their last job: one replacement stands by, and the pool is full all the same.
    rig.until(lambda: [child.state for child in rig.pool.children()].count("IDLE") == 1)
    assert (len(rig.pool.children()), rig.pool.free) == (3, 0)
    standby = next(child.pid for child in rig.pool.children() if child.state == "IDLE")
    gates[0].touch()
    rig.until(lambda: first in rig.notes.done)
    assert rig.pool.free == 1
    assert rig.run("echo")[0]["pid"] == standby
    assert second not in rig.notes.done
    gates[1].touch()
    rig.until(lambda: second in rig.notes.done and rig.pool.alive == 2 and rig.pool.free == 2)
    rig.until(lambda: len(rig.pool.children()) == 2)


def test_a_standby_that_dies_or_outlives_the_last_job_s_death_is_no_trouble(rig: Rig, tmp_path: Path) -> None:
    rig.boot(1, max_jobs=1)
    job = rig.start_job("wait_for", path=str(tmp_path / "never"))
    rig.until(lambda: rig.pool.alive == 1)
    standby = next(child.pid for child in rig.pool.children() if child.state == "IDLE")
    os.kill(standby, signal.SIGKILL)
    rig.until(lambda: standby not in rig.pids() and rig.pool.alive == 1)
    assert rig.pool.free == 0
    os.kill(rig.notes.started[job], signal.SIGKILL)
    rig.until(lambda: job in rig.notes.lost and rig.pool.free == 1)
    assert rig.run("echo")[0]["state"] == "SUCCESS"


def test_a_crash_in_the_last_job_counts_as_one(rig: Rig) -> None:
    rig.boot(1, max_jobs=1)
    for number in range(6):
        rig.until(lambda: rig.pool.free > 0)
        job = rig.submit("dying", code=3)
        rig.until(lambda job=job: job in rig.notes.lost)
        assert bool(rig.notes.degraded) is (number == 5)
    assert "6 deaths within 60s, the last: exit code 3" in (rig.notes.degraded[0] or "")


def test_a_child_that_has_grown_is_replaced_after_its_job(rig: Rig) -> None:
    rig.boot(1, max_memory=80 * MB)
    slim = rig.run("echo")[0]["pid"]
    assert rig.run("grow", mb=1)[0]["pid"] == slim
    assert rig.run("grow", mb=100)[0]["pid"] == slim
    assert rig.run("echo")[0]["pid"] != slim
    assert rig.notes.degraded == []


@pytest.mark.parametrize("turns", [0, 1, 3])
def test_a_pool_can_be_closed_while_it_recycles(rig: Rig, tmp_path: Path, turns: int) -> None:
    rig.boot(2, max_jobs=1)
    go = tmp_path / "go"
    jobs = [rig.start_job("wait_for", path=str(go)) for _ in range(2)]
    for _ in range(turns):
        rig.loop.run_once(0.01)
    rig.pool.close()
    go.touch()
    rig.until(lambda: rig.notes.empty)
    assert sorted(rig.notes.done) == jobs


def test_a_smaller_or_larger_pool_is_reached_while_it_recycles(rig: Rig) -> None:
    rig.boot(3, max_jobs=2)
    for n in (1, 4, 2):
        rig.pool.want(n)
        for _ in range(5):
            rig.run("echo")
        rig.until(lambda n=n: rig.pool.alive == n and len(rig.pool.children()) == n and rig.pool.free >= n)


def test_when_memory_is_short_the_idle_child_that_has_grown_most_is_replaced(
    rig: Rig, tmp_path: Path
) -> None:
    rig.boot(2)
    assert not rig.pool.shed()
    busy = rig.start_job("wait_for", path=str(tmp_path / "go"))
    grown = rig.run("grow", mb=40)[0]["pid"]
    assert rig.pool.shed()
    assert not rig.pool.shed()
    rig.until(lambda: grown not in rig.pids() and rig.pool.alive == 2)
    assert rig.notes.started[busy] in rig.pids()
    assert set(rig.pool.processes()) == {*rig.pids(), rig.template_pid()}
    assert rig.notes.degraded == []
    (tmp_path / "go").touch()
    rig.until(lambda: busy in rig.notes.done)


def test_a_pool_that_recycles_after_every_job_runs_no_more_at_a_time_than_it_has_children(rig: Rig) -> None:
    rig.boot(2, max_jobs=1)
    at_once: list[int] = []
    started = rig.notes.on_started

    def on_started(job: Job, pid: int) -> None:
        started(job, pid)
        at_once.append(len(rig.notes.started) - len(rig.notes.done))

    rig.notes.on_started = on_started  # type: ignore[method-assign]
    left = [0.02] * 20

    def feed() -> None:
        while left and rig.pool.free:
            rig.submit("sleep", seconds=left.pop())

    rig.notes.when_free = feed
    feed()
    rig.until(lambda: len(rig.notes.done) == 20)
    assert max(at_once) == 2
    assert len({header["pid"] for header, _ in rig.notes.done.values()}) == 20
