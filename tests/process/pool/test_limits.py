"""Soft and hard limits."""

from __future__ import annotations

import time

from tests.process.pool.conftest import Rig
from workerd_pool import Cause


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
        assert rig.run("echo", b"x", soft_limit=0.5, hard_limit=0.6)[1] == b"x"
    assert rig.run("sleep", seconds=0.9)[0]["state"] == "SUCCESS"
    assert not rig.notes.lost
