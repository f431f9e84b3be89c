"""Limits of memory while a job runs, and deaths for want of it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.process.pool.conftest import Rig
from tests.support.cgroups import FakeCgroups
from workerd_pool import Cause

MB = 1 << 20


def test_the_soft_limit_raises_in_the_job_and_a_child_that_keeps_too_much_is_replaced(rig: Rig) -> None:
    rig.boot(1, soft_memory=90 * MB)
    header, _ = rig.run("greedy", mb=2000)
    assert header["state"] == "SUCCESS" and header["mb"] < 2000
    assert header["seen"].startswith("soft memory limit (90 MB): its child has ")
    fat = rig.run("echo")[0]["pid"]
    rig.run("grow", mb=100)  # interrupted or not, as the look comes
    assert rig.run("echo")[0]["pid"] != fat
    assert not rig.notes.lost and rig.notes.degraded == []


def test_a_job_is_told_of_the_soft_limit_once(rig: Rig, tmp_path: Path) -> None:
    rig.boot(1, soft_memory=60 * MB, hard_memory=4000 * MB)
    go = tmp_path / "go"
    job = rig.start_job("greedy", mb=100, pause=0.0, patient=str(go))
    child = next(iter(rig.pool._reconciler.crew))
    rig.until(lambda: child.warned is not None)
    looked = child.due.memory
    rig.until(lambda: child.due.memory > looked)
    go.touch()
    rig.until(lambda: job in rig.notes.done)
    assert rig.notes.done[job][0]["seen"].count("soft memory limit") == 1


def test_the_hard_limit_kills_the_child_of_a_job_that_goes_on(rig: Rig, tmp_path: Path) -> None:
    rig.boot(2, soft_memory=60 * MB, hard_memory=120 * MB)
    go = tmp_path / "go"
    other = rig.start_job("wait_for", path=str(go))
    job = rig.start_job("greedy", mb=200, patient=str(go))
    rig.until(lambda: job in rig.notes.lost)
    death = rig.notes.lost[job]
    assert (death.cause, death.signal, death.hard_limit) == (Cause.MEMORY_LIMIT, "SIGKILL", None)
    assert death.words.startswith("hard memory limit (120 MB): it had ")
    rig.until(lambda: rig.pool.alive == 2)
    assert rig.pool.deaths.counts == {Cause.MEMORY_LIMIT: 1}
    assert rig.notes.degraded == []
    go.touch()
    rig.until(lambda: other in rig.notes.done)


def test_memory_that_children_share_with_their_template_is_not_theirs(rig: Rig, tmp_path: Path) -> None:
    rig.boot(3, soft_memory=120 * MB, ballast=150)
    go = tmp_path / "go"
    job = rig.start_job("wait_for", path=str(go))
    child = next(child for child in rig.pool._reconciler.crew if child.current)
    rig.until(lambda: child.meter.exact_at > 0)
    go.touch()
    rig.until(lambda: job in rig.notes.done)
    assert child.warned is None
    assert rig.notes.done[job][0]["state"] == "SUCCESS"


def test_nobody_is_looked_at_while_nothing_runs(rig: Rig) -> None:
    rig.boot(2, soft_memory=500 * MB)
    rig.run("echo")
    rig.until(lambda: rig.pool._reconciler.enforcer.next_deadline() == float("inf"))


def test_a_limit_below_what_the_code_needs_is_told(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    rig.boot(2, max_memory=1 * MB)
    told = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert len(told) == 1
    assert "before its first job, and its limit of memory is 1 MB" in told[0]


def test_a_death_by_the_kernel_for_want_of_memory_is_told_as_such(rig: Rig, tmp_path: Path) -> None:
    tree = FakeCgroups(tmp_path)
    tree.group("unit", limit=64 * MB)
    rig.boot(1, cgroup=tree.own("unit"))
    job = rig.start_job("sleep", seconds=60)
    tree.group("unit", limit=64 * MB, kills=1, full=1)
    os.kill(rig.notes.started[job], signal.SIGKILL)
    rig.until(lambda: job in rig.notes.lost)
    death = rig.notes.lost[job]
    assert (death.cause, death.signal) == (Cause.OOM, "SIGKILL")
    assert death.words == "out of memory: killed by the kernel, cgroup /unit was at its limit of 64 MB"
    # The next one is somebody else's.
    rig.until(lambda: rig.pool.free)
    job = rig.start_job("sleep", seconds=60)
    os.kill(rig.notes.started[job], signal.SIGKILL)
    rig.until(lambda: job in rig.notes.lost)
    assert rig.notes.lost[job].cause is Cause.SIGNAL


def test_what_the_pool_kills_itself_does_not_use_up_an_explanation(rig: Rig, tmp_path: Path) -> None:
    tree = FakeCgroups(tmp_path)
    tree.group("unit", limit=None)
    rig.boot(2, cgroup=tree.own("unit"))
    first, second = (rig.start_job("sleep", seconds=60) for _ in range(2))
    tree.group("unit", limit=None, kills=1)
    rig.pool.kill_job(first, "by hand")
    rig.until(lambda: first in rig.notes.lost)
    assert rig.notes.lost[first].words == "by hand"
    os.kill(rig.notes.started[second], signal.SIGKILL)
    rig.until(lambda: second in rig.notes.lost)
    assert rig.notes.lost[second].cause is Cause.OOM
