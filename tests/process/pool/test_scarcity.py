"""A pool that has no descriptor or no memory left, here or in its template: told, and over when there is."""

from __future__ import annotations

import os
import resource
import signal
from pathlib import Path

import pytest

from tests.process.pool.conftest import Rig, open_fds, stop
from tests.support.descriptors import none_left
from tests.support.eventually import eventually
from workerd_pool import Cause
from workerd_pool.journal import Happened
from workerd_pool.memory import Meter
from workerd_pool.sockets import Sockets


def test_half_of_the_sockets_is_given_back() -> None:
    before = open_fds()
    with none_left(but=2), pytest.raises(OSError, match="Too many open files"):
        Sockets()
    assert open_fds() == before


def test_without_descriptors_no_child_is_made_until_there_are_some(rig: Rig) -> None:
    rig.boot(1)
    with none_left():
        rig.pool.want(2)
        assert "a child cannot be made" in (rig.notes.degraded[-1] or "")
        assert "Too many open files" in (rig.notes.degraded[-1] or "")
    assert rig.run("echo")[0]["state"] == "SUCCESS"
    rig.until(lambda: rig.pool.alive == 2)
    assert rig.notes.degraded[-1] is None


def test_a_reload_whose_first_child_cannot_be_made_fails_at_once(rig: Rig) -> None:
    rig.boot(1)
    rig.pool.reload()
    rig.until(
        lambda: Happened.TEMPLATE_STARTED in [e.happened for e in rig.pool.journal() if e.generation == 2]
    )
    with none_left():
        rig.until(lambda: rig.notes.failed)
    number, reason, _ = rig.notes.failed[0]
    assert number == 2
    assert reason.startswith("its first child: a child cannot be made: [Errno 24]")
    assert rig.notes.degraded == []
    assert rig.run("echo")[0]["state"] == "SUCCESS"


def test_a_template_without_descriptors_says_so_and_goes_on(rig: Rig) -> None:
    rig.boot(1)
    template = rig.template_pid()
    before = resource.prlimit(template, resource.RLIMIT_NOFILE)
    resource.prlimit(template, resource.RLIMIT_NOFILE, (4, before[1]))
    rig.pool.want(2)
    rig.until(lambda: rig.notes.degraded)
    assert "fork failed: the template has no descriptor left" in (rig.notes.degraded[0] or "")
    resource.prlimit(template, resource.RLIMIT_NOFILE, before)
    rig.until(lambda: rig.pool.alive == 2)
    assert rig.template_pid() == template


def test_a_template_that_is_dead_and_not_yet_reaped_is_no_failed_start(rig: Rig) -> None:
    rig.boot(1)
    template = rig.template_pid()
    os.kill(template, signal.SIGKILL)
    eventually(lambda: os.waitid(os.P_PID, template, os.WEXITED | os.WNOHANG | os.WNOWAIT))
    rig.pool.want(2)
    rig.until(lambda: rig.pool.alive == 2)
    assert rig.notes.degraded == []


def test_an_outcome_that_does_not_fit_into_memory_ends_its_job(rig: Rig) -> None:
    rig.boot(1)
    body = b"x" * (64 << 20)
    job = rig.submit("digest", body)
    before = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (32 << 20), before[1]))
    try:
        rig.until(lambda: job in rig.notes.lost or job in rig.notes.done)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
    assert rig.notes.lost[job].cause is Cause.PROTOCOL
    assert "MemoryError" in rig.notes.lost[job].words
    assert rig.run("echo")[0]["state"] == "SUCCESS"


def silent_with_a_large_job(rig: Rig) -> tuple[int, int]:
    """(pid of the only child, the job that it has not read and that was taken back from it)."""
    rig.boot(1)
    (pid,) = rig.pids()
    stop(pid)
    job = rig.submit("echo", b"x" * 100_000)
    return pid, job


def test_what_cannot_be_given_again_is_tried_again(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    pid, job = silent_with_a_large_job(rig)
    rig.until(lambda: rig.pool.alive == 0)
    with none_left():
        os.kill(pid, signal.SIGCONT)
        rig.until(lambda: "cannot be given to a child now" in caplog.text)
    rig.until(lambda: job in rig.notes.done)
    assert not rig.notes.lost


def test_what_cannot_be_taken_back_ends_with_its_child(rig: Rig) -> None:
    _, job = silent_with_a_large_job(rig)
    with none_left():
        rig.until(lambda: job in rig.notes.lost)
    assert rig.notes.lost[job].cause is Cause.PROTOCOL
    assert "could not be taken back" in rig.notes.lost[job].words
    rig.until(lambda: rig.pool.alive == 1)
    assert rig.pool.info()["jobs"] == 0


def test_one_look_that_fails_does_not_end_the_others(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    rig.boot(1, soft_memory=1 << 30)

    def broken(pid: int) -> int:
        raise RuntimeError("no such reading")

    (child,) = rig.pool._reconciler.crew
    child.meter = Meter(cheap=broken)
    # The memory is looked at before the hard limit is over.
    job = rig.start_job("sleep", seconds=60, hard_limit=2.5)
    rig.until(lambda: job in rig.notes.lost)
    assert rig.notes.lost[job].cause is Cause.HARD_LIMIT
    assert "no such reading" in caplog.text
