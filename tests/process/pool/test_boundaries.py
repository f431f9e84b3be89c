"""KILL and STOP of a child at every boundary of the protocol, with frames of 16 MiB under way.

Whatever is hit, the other child goes on, each job ends once, and the pool is whole again.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.process.pool.conftest import Rig

BIG = b"x" * (16 << 20)
GUARD = 20.0
"""Seconds within which the other child must have answered, also on a busy machine: a stall lasts for ever."""


def hit(pid: int, signum: int) -> None:
    """Signal a child that may have ended by itself."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signum)


def born(rig: Rig) -> int:
    """A child that exists and has not said that it is ready."""
    before = rig.pids()
    rig.pool.want(2)
    return int(rig.until(lambda: next((pid for pid in rig.pids() - before if pid), 0)))


def unread(rig: Rig) -> int:
    """An idle child that is about to be sent a job."""
    return rig.pids().pop()


def begun(rig: Rig) -> int:
    """A child in the middle of its job, whose argument was large."""
    return rig.notes.started[rig.start_job("sleep", BIG, seconds=0.5)]


def telling(rig: Rig) -> int:
    """A child that sends one large PROGRESS after the other."""
    job = rig.start_job("steps", BIG, count=20)
    rig.until(lambda: rig.notes.progress)
    return rig.notes.started[job]


def answering(rig: Rig) -> int:
    """A child that is about to send a large DONE."""
    return rig.notes.started[rig.start_job("digest", BIG)]


def leaving(rig: Rig) -> int:
    """A child that was told to go after its job."""
    rig.pool.want(2)
    rig.until(lambda: rig.pool.alive == 2)
    jobs = [rig.start_job("sleep", BIG, seconds=0.5) for _ in range(2)]
    rig.pool.want(1)
    return next(
        child.pid for child in rig.pool.children() if child.state == "DRAINING" and child.job_id in jobs
    )


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGSTOP], ids=["kill", "stop"])
@pytest.mark.parametrize("moment", [born, unread, begun, telling, answering, leaving])
def test_a_child_may_be_hit_at_any_boundary(
    rig: Rig, moment: Callable[[Rig], int], signum: int, tmp_path: Path
) -> None:
    rig.boot(1)
    victim = moment(rig)
    hit(victim, signum)
    if moment is unread:
        rig.submit("digest", BIG)

    # The others go on while it is dead, or neither dead nor alive.
    wanted = max(rig.pool.wanted, 2)
    rig.pool.want(wanted)
    rig.until(lambda: any(c.pid != victim and c.state == "IDLE" for c in rig.pool.children()))
    witness = rig.submit("echo", BIG)
    rig.until(lambda: witness in rig.notes.done, within=GUARD)

    hit(victim, signal.SIGCONT)
    rig.until(lambda: rig.pool.info()["jobs"] == 0)
    rig.until(lambda: rig.pool.alive == wanted == len(rig.pool.children()))
    ends = [*rig.notes.done, *rig.notes.lost, *rig.notes.returned]
    assert sorted(ends) == list(range(1, witness + 1)), "each job ends exactly once"
    if signum == signal.SIGSTOP:
        assert not rig.notes.lost, "a child that was stopped and continued loses nothing"
    assert rig.run("echo", b"and on it goes")[1] == b"and on it goes"
