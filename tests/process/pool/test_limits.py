"""Soft and hard limits."""

from __future__ import annotations

import math
import re
import time

import psutil
import pytest

from tests.process.pool.conftest import Rig, both
from tests.support.eventually import eventually
from workerd_pool import Cause


@both
def test_the_soft_limit_raises_in_the_task(rig: Rig) -> None:
    rig.boot(1)
    begun = time.monotonic()
    assert rig.run("soft", seconds=60, soft_limit=0.3)[0] == {"state": "SOFT"}
    assert time.monotonic() - begun >= 0.3


def test_the_limits_of_the_recipe_hold_for_jobs_that_bring_none(rig: Rig) -> None:
    rig.boot(1, soft_limit=0.3)
    assert rig.run("soft", seconds=60)[0] == {"state": "SOFT"}
    assert rig.run("soft", seconds=0.5, soft_limit=30)[0] == {"state": "SUCCESS"}


def test_a_task_that_does_not_catch_the_soft_limit_is_an_internal_error_here(rig: Rig) -> None:
    rig.boot(1)
    header, _ = rig.run("sleep", seconds=60, soft_limit=0.2)
    assert header["error"] == "SoftTimeLimitExceeded()"


def test_a_late_wake_up_does_not_hit_the_next_job(rig: Rig) -> None:
    rig.boot(1)
    child = next(iter(rig.pool._reconciler.crew))
    rig.run("soft", seconds=0.0, soft_limit=0.01)
    job = rig.start_job("soft", seconds=0.3)
    for _ in range(5):
        child.wake()
        rig.loop.run_once(0.02)
    child.dump()
    rig.until(lambda: job in rig.notes.done)
    assert rig.notes.done[job][0] == {"state": "SUCCESS"}


def test_the_soft_limit_does_not_cut_a_frame(rig: Rig) -> None:
    rig.boot(1)
    header, _ = rig.run("soft_progress", soft_limit=0.3)
    assert header["state"] == "SOFT"
    counts = [told["count"] for _, told, _ in rig.notes.progress]
    assert counts == list(range(len(counts)))
    assert rig.run("echo", b"1")[1] == b"1"


def test_a_runner_can_shield_its_end_from_the_soft_limit(rig: Rig) -> None:
    rig.boot(1)
    assert rig.run("shielded", seconds=0.5, soft_limit=0.1)[0] == {"state": "SUCCESS"}


@both
def test_the_hard_limit_kills_also_what_does_not_return_from_c(rig: Rig) -> None:
    rig.boot(2)
    pids = rig.pids()
    job = rig.start_job("stubborn", soft_limit=0.1, hard_limit=0.4)
    rig.until(lambda: job in rig.notes.lost)
    death = rig.notes.lost[job]
    assert (death.cause, death.words) == (Cause.HARD_LIMIT, "hard time limit (0.4s)")
    assert (death.hard_limit, death.signal) == (0.4, "SIGKILL")
    rig.until(lambda: rig.pool.alive == 2)
    assert len(pids - rig.pids()) == 1


def test_hard_limits_are_no_crash_loop(rig: Rig) -> None:
    rig.boot(2)
    jobs: list[int] = []

    def feed() -> bool:
        while rig.pool.free and len(jobs) < 10:
            jobs.append(rig.submit("stubborn", hard_limit=0.1))
        return len(rig.notes.lost) == 10

    rig.until(feed)
    rig.until(lambda: rig.pool.alive == 2)
    assert rig.notes.degraded == []


def test_a_job_that_ends_in_time_is_not_touched_by_its_limits(rig: Rig) -> None:
    rig.boot(1)
    for _ in range(50):
        assert rig.run("echo", b"x", soft_limit=1.5, hard_limit=1.6)[1] == b"x"
    assert rig.run("sleep", seconds=1.9)[0]["state"] == "SUCCESS"
    assert not rig.notes.lost


def test_the_hard_limit_takes_what_the_job_has_started_too(rig: Rig) -> None:
    rig.boot(1)
    job = rig.submit("leave_process", hard_limit=0.5)
    rig.until(lambda: rig.notes.progress)
    grandchild = psutil.Process(rig.notes.progress[0][1]["pid"])
    rig.until(lambda: job in rig.notes.lost)
    assert rig.notes.lost[job].cause is Cause.HARD_LIMIT
    eventually(lambda: not grandchild.is_running() or grandchild.status() == "zombie")


def test_a_running_job_keeps_its_hard_limit_over_a_reload(rig: Rig) -> None:
    rig.boot(1)
    job = rig.start_job("sleep", seconds=60, hard_limit=5.0)  # longer than a reload takes
    rig.pool.reload()
    rig.until(lambda: rig.pool.generation == 2)
    assert job not in rig.notes.lost
    rig.until(lambda: job in rig.notes.lost)
    assert rig.notes.lost[job].hard_limit == 5.0


def test_new_limits_count_from_the_start_of_a_job_that_runs(rig: Rig) -> None:
    rig.boot(3)
    slow = rig.start_job("soft", seconds=60, soft_limit=50)
    stuck = rig.start_job("stubborn", hard_limit=50)
    spared = rig.start_job("sleep", seconds=2.0, hard_limit=1.5)
    assert rig.pool.limit_job(spared, math.inf, math.inf)
    assert rig.pool.limit_job(slow, 0.3, None)
    assert rig.pool.limit_job(stuck, None, 0.01)
    assert not rig.pool.limit_job(99, 1, 1)
    rig.until(lambda: slow in rig.notes.done and stuck in rig.notes.lost and spared in rig.notes.done)
    assert rig.notes.done[slow][0] == {"state": "SOFT"}
    assert rig.notes.lost[stuck].hard_limit == 0.01
    assert rig.notes.done[spared][0]["state"] == "SUCCESS"


def test_new_limits_hold_for_a_job_that_has_not_started(rig: Rig) -> None:
    rig.boot(1)
    for _ in range(200):
        rig.run("echo")  # short jobs: several may wait at one child now
    rig.submit("sleep", seconds=0.3)
    waiting = rig.submit("soft", seconds=60)
    assert rig.pool.limit_job(waiting, 0.2, None)
    rig.until(lambda: waiting in rig.notes.done)
    assert rig.notes.done[waiting][0] == {"state": "SOFT"}


def test_the_stacks_of_a_job_near_its_hard_limit_are_told(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    rig.boot(1)
    job = rig.submit("stubborn", soft_limit=0.1, hard_limit=1.0)
    rig.until(lambda: job in rig.notes.lost)
    assert f"proj.stubborn[{job}] is over its soft time limit (0.1s)" in caplog.text
    assert re.search(rf"proj.stubborn\[{job}\] is killed in 0\.\ds; its stacks follow", caplog.text)
    assert any("in stubborn" in line.text for line in rig.notes.lines if line.job is not None)
