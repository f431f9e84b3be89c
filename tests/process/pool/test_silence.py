"""Children that do not read what they are given: stopped, as by a debugger, or hanging."""

from __future__ import annotations

import os
import signal

import pytest

from tests.process.pool.conftest import Rig, stop
from workerd_pool import Cause


def test_what_a_stopped_child_has_not_read_goes_to_others_and_it_comes_back(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    rig.boot(2)
    stopped = min(rig.pids())
    stop(stopped)
    jobs = [rig.submit("echo") for _ in range(2)]
    rig.until(lambda: set(jobs) <= set(rig.notes.done))
    assert stopped not in [rig.notes.done[job][0]["pid"] for job in jobs]
    assert "does not read what it is given" in caplog.text
    assert [(c.pid, c.state) for c in rig.pool.children() if c.state != "IDLE"] == [(stopped, "SILENT")]
    assert (rig.pool.alive, rig.pool.free) == (1, 1)
    os.kill(stopped, signal.SIGCONT)
    rig.until(lambda: rig.pool.alive == rig.pool.free == 2)
    # It is no worse for it.
    jobs = [rig.start_job("sleep", seconds=0.2) for _ in range(2)]
    assert stopped in [rig.notes.started[job] for job in jobs]
    rig.until(lambda: set(jobs) <= set(rig.notes.done))
    assert not rig.notes.lost and not rig.notes.returned
    assert rig.pool.deaths.counts == {}


def test_a_job_that_no_other_child_can_take_waits_for_the_only_one(rig: Rig) -> None:
    rig.boot(1)
    (stopped,) = rig.pids()
    stop(stopped)
    job = rig.submit("echo")
    rig.until(lambda: rig.pool.alive == 0)
    os.kill(stopped, signal.SIGCONT)
    rig.until(lambda: job in rig.notes.done)
    assert rig.notes.done[job][0]["pid"] == stopped
    assert rig.pool.info()["jobs"] == 0


def test_a_child_that_does_not_answer_is_replaced(rig: Rig) -> None:
    rig.boot(1, boot_timeout=5.0)
    (stopped,) = rig.pids()
    stop(stopped)
    job = rig.submit("echo")
    rig.until(lambda: job in rig.notes.done, within=30)
    (death,) = (one.death for one in rig.pool.deaths.last)
    assert (death.pid, death.cause) == (stopped, Cause.OVERDUE)
    assert death.words == "not answering within 5s"
    assert not rig.notes.lost


def test_a_silent_child_can_be_retired(rig: Rig) -> None:
    rig.boot(2)
    stopped = max(rig.pids())
    stop(stopped)
    jobs = [rig.submit("echo") for _ in range(2)]
    rig.until(lambda: set(jobs) <= set(rig.notes.done))
    rig.pool.want(0)
    os.kill(stopped, signal.SIGCONT)
    rig.until(lambda: not rig.pool.children())
    assert rig.pool.deaths.counts == {}
