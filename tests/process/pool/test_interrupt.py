"""Interruptions: one running job, and never the one behind it."""

from __future__ import annotations

import os
import signal

import pytest

from tests.process.pool.conftest import Rig
from workerd_pool import Cause, Interruption


def start(rig: Rig, do: str, seconds: float = 60.0) -> int:
    """A job that has come to its own code, and not only to the child."""
    job = rig.submit(do, seconds=seconds)
    rig.until(lambda: any(number == job for number, _, _ in rig.notes.progress))
    return job


def told(rig: Rig, job: int) -> list[dict[str, object]]:
    return [header for number, header, _ in rig.notes.progress if number == job]


def test_terminate_ends_a_job_that_outlives_every_exception(rig: Rig) -> None:
    rig.boot(1)
    pids = rig.pids()
    job = start(rig, "guarded")
    assert rig.pool.interrupt_job(job, Interruption.TERMINATE, "by an operator")
    rig.until(lambda: job in rig.notes.done)
    assert rig.notes.done[job][0]["error"] == "JobTerminated('by an operator')"
    assert told(rig, job)[-1] == {"cleaned": True}
    assert rig.run("echo", b"1")[1] == b"1"
    assert rig.pids() == pids


def test_a_stop_is_a_soft_limit_to_the_job(rig: Rig) -> None:
    rig.boot(1)
    job = start(rig, "guarded")
    assert rig.pool.interrupt_job(job, Interruption.STOP, "the host stops")
    rig.until(lambda: job in rig.notes.done)
    assert rig.notes.done[job][0] == {"state": "CAUGHT", "type": "SoftStop", "args": ["the host stops"]}
    second = start(rig, "soft_progress")
    rig.pool.interrupt_job(second, Interruption.STOP)
    rig.until(lambda: second in rig.notes.done)
    assert rig.notes.done[second][0]["state"] == "SOFT"


def test_a_job_that_does_not_end_in_its_grace_is_killed(rig: Rig) -> None:
    rig.boot(1)
    job = start(rig, "deaf")
    assert rig.pool.interrupt_job(job, Interruption.TERMINATE, grace=0.3)
    rig.until(lambda: job in rig.notes.lost)
    assert told(rig, job).count({"caught": "JobTerminated"}) == 1
    death = rig.notes.lost[job]
    assert (death.cause, death.signal) == (Cause.OPERATOR, "SIGKILL")
    rig.until(lambda: rig.pool.alive == 1)
    assert rig.notes.degraded == []


def test_a_job_that_ends_in_its_grace_is_not_killed_and_nor_is_the_next(rig: Rig) -> None:
    rig.boot(1)
    pids = rig.pids()
    job = start(rig, "guarded")
    assert rig.pool.interrupt_job(job, Interruption.TERMINATE, grace=0.3)
    rig.until(lambda: job in rig.notes.done)
    assert rig.run("sleep", seconds=0.6)[0]["state"] == "SUCCESS"
    assert rig.pids() == pids


def test_what_waits_behind_the_job_goes_on_as_if_nothing_had_been(rig: Rig) -> None:
    rig.boot(1)
    for _ in range(200):
        rig.run("echo", b"x")  # short jobs: several may wait at one child now
    assert rig.pool.free > 1
    job = rig.submit("guarded", seconds=60)
    behind = [rig.submit("echo", b"y") for _ in range(rig.pool.free)]
    rig.until(lambda: told(rig, job))
    assert rig.pool.interrupt_job(job, Interruption.TERMINATE)
    rig.until(lambda: all(number in rig.notes.done for number in (job, *behind)))
    assert {rig.notes.done[number][0]["state"] for number in behind} == {"SUCCESS"}
    assert rig.notes.returned == []


def test_a_job_that_no_child_has_read_comes_back(rig: Rig) -> None:
    rig.boot(1)
    for _ in range(200):
        rig.run("echo", b"x")
    job = start(rig, "guarded", seconds=1.0)
    # The child is stopped, so what is written to it now stays unread.
    os.kill(next(iter(rig.pids())), signal.SIGSTOP)
    waiting = rig.submit("echo", b"y")
    assert not rig.pool.interrupt_job(waiting, Interruption.TERMINATE)
    assert rig.notes.returned == [waiting]
    assert not rig.pool.interrupt_job(waiting, Interruption.TERMINATE)
    os.kill(next(iter(rig.pids())), signal.SIGCONT)
    rig.until(lambda: job in rig.notes.done)
    assert rig.notes.done[job][0]["state"] == "SUCCESS"


def test_an_interruption_that_comes_too_late_hits_nobody(rig: Rig) -> None:
    rig.boot(1)
    for turn in range(100):
        rig.until(lambda: rig.pool.free > 0)
        job = rig.submit("echo", b"1")
        rig.loop.run_once(0.0001 * (turn % 10))
        # Whatever the child is doing at this moment: before it, in it, after it.
        rig.pool.interrupt_job(job, Interruption.TERMINATE)
        rig.until(lambda job=job: job in rig.notes.done or job in rig.notes.returned)  # type: ignore[misc]
        assert rig.run("echo", b"2")[0]["state"] == "SUCCESS"
    assert rig.run("sleep", seconds=0.3)[0]["state"] == "SUCCESS"


def test_an_interruption_right_at_the_start_is_not_lost(rig: Rig) -> None:
    rig.boot(1)
    for _ in range(20):
        rig.until(lambda: rig.pool.free > 0)
        job = rig.start_job("sleep", seconds=60)
        assert rig.pool.interrupt_job(job, Interruption.TERMINATE)
        rig.until(lambda job=job: job in rig.notes.done)  # type: ignore[misc]
        assert "JobTerminated" in rig.notes.done[job][0]["error"]


@pytest.mark.parametrize("cause", Interruption)
def test_a_child_that_was_retired_in_its_job_can_be_interrupted_and_leaves(
    rig: Rig, cause: Interruption
) -> None:
    rig.boot(1)
    job = start(rig, "guarded")
    rig.pool.want(0)  # its DRAIN waits unread before the INTERRUPT
    assert rig.pool.interrupt_job(job, cause)
    rig.until(lambda: job in rig.notes.done)
    rig.until(lambda: not rig.pool.children())
    assert rig.notes.lost == {}


def test_a_job_that_has_closed_its_sockets_is_killed_instead(rig: Rig) -> None:
    rig.boot(1)
    job = rig.start_job("close_everything")
    rig.pool.interrupt_job(job, Interruption.TERMINATE, grace=0.1)
    rig.until(lambda: job in rig.notes.lost)


def test_an_interruption_reaches_a_child_that_was_stopped(rig: Rig) -> None:
    rig.boot(1)
    job = start(rig, "guarded")
    (pid,) = rig.pids()
    os.kill(pid, signal.SIGSTOP)
    assert rig.pool.interrupt_job(job, Interruption.TERMINATE)
    assert rig.pool.interrupt_job(job, Interruption.TERMINATE)
    os.kill(pid, signal.SIGCONT)
    rig.until(lambda: job in rig.notes.done)
    assert "JobTerminated" in rig.notes.done[job][0]["error"]
    assert rig.run("echo", b"1")[1] == b"1"
