"""Deaths: who is replaced, what becomes of the jobs, and how the cause is told."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.process.pool.conftest import Rig, both
from tests.support.eventually import eventually
from workerd_pool import Cause, frames
from workerd_pool.child import Birth, _be_adopted


def test_an_idle_child_that_is_killed_is_replaced(rig: Rig) -> None:
    rig.boot(2)
    victim = rig.pool.children()[0].pid
    os.kill(victim, signal.SIGKILL)
    rig.until(lambda: victim not in rig.pids() and rig.pool.alive == 2)
    assert not rig.notes.lost


@both
def test_a_busy_child_that_is_killed_loses_its_job_and_no_other(rig: Rig, tmp_path: Path) -> None:
    rig.boot(2)
    go = tmp_path / "go"
    victim, other = (rig.start_job("wait_for", path=str(go)) for _ in range(2))
    os.kill(rig.notes.started[victim], signal.SIGKILL)
    rig.until(lambda: victim in rig.notes.lost)
    death = rig.notes.lost[victim]
    assert (death.pid, death.exitcode, death.signal) == (rig.notes.started[victim], None, "SIGKILL")
    assert (death.cause, death.words) == (Cause.SIGNAL, "killed by signal 9 (SIGKILL)")
    go.touch()
    rig.until(lambda: other in rig.notes.done and rig.pool.alive == 2)
    assert list(rig.notes.lost) == [victim]


@pytest.mark.parametrize(
    ("do", "options", "cause", "words"),
    [
        ("dying", {"code": 3}, Cause.EXIT, "exit code 3"),
        ("dying", {"code": 0}, Cause.EXIT, "exit code 0"),
        ("segfault", {}, Cause.SIGNAL, "killed by signal 11 (SIGSEGV)"),
        ("killing_itself", {}, Cause.SIGNAL, "killed by signal 9 (SIGKILL)"),
    ],
)
def test_a_task_that_ends_its_child_is_lost_with_the_cause(
    rig: Rig, do: str, options: dict[str, Any], cause: Cause, words: str
) -> None:
    rig.boot(1)
    job = rig.submit(do, **options)
    rig.until(lambda: job in rig.notes.lost)
    death = rig.notes.lost[job]
    assert (death.cause, death.words) == (cause, words)
    (remembered,) = rig.pool.deaths.last
    assert (remembered.death, remembered.title) == (death, f"proj.{do}[{job}]")
    assert rig.pool.deaths.counts == {cause: 1}
    assert rig.run("echo", b"again")[1] == b"again"


@both
def test_jobs_that_a_dead_child_had_not_read_are_returned(rig: Rig) -> None:
    rig.boot(1)
    rig.quicken()
    running = rig.start_job("sleep", seconds=60)
    # Returned when the death is seen before they are taken back to wait for another child.
    waiting = [rig.submit("echo") for _ in range(4)]
    os.kill(rig.notes.started[running], signal.SIGKILL)
    rig.until(lambda: running in rig.notes.lost)
    rig.until(lambda: sorted(rig.notes.returned) == waiting or all(w in rig.notes.done for w in waiting))
    assert list(rig.notes.lost) == [running]


def test_a_job_that_was_done_before_the_death_is_done(rig: Rig) -> None:
    rig.boot(1)
    job = rig.submit("echo", b"x" * 1000)
    pid = rig.pool.children()[0].pid
    # The outcome is in the socket, unread, when the child dies.
    eventually(lambda: psutil.Process(pid).status() == "sleeping" and _waits_idle(pid))
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: psutil.Process(pid).status() == "zombie")
    rig.until(lambda: pid not in rig.pids())
    assert job in rig.notes.done
    assert not rig.notes.lost


def _waits_idle(pid: int) -> bool:
    return "idle since" in " ".join(psutil.Process(pid).cmdline())


@both
def test_unread_jobs_are_taken_back_from_a_stopped_child(rig: Rig) -> None:
    rig.boot(1)
    pid = rig.pool.children()[0].pid
    os.kill(pid, signal.SIGSTOP)
    big = rig.submit("echo", os.urandom(100_000))
    assert [job.id for job in rig.pool.take_back()] == [big]
    assert rig.pool.take_back() == []
    assert (rig.pool.free, rig.pool.busy) == (1, 0)
    again = rig.submit("echo", b"again")
    os.kill(pid, signal.SIGCONT)
    rig.until(lambda: again in rig.notes.done)
    assert big not in rig.notes.done and big not in rig.notes.started


def test_the_death_of_the_template_does_not_touch_a_running_job(rig: Rig, tmp_path: Path) -> None:
    rig.boot(2)
    go = tmp_path / "go"
    job = rig.start_job("wait_for", path=str(go))
    before, template = rig.pids(), rig.template_pid()
    os.kill(template, signal.SIGKILL)
    rig.until(lambda: rig.pool.info()["templates"] and rig.template_pid() != template)
    go.touch()
    rig.until(lambda: job in rig.notes.done)
    assert rig.pids() == before
    rig.pool.want(3)
    rig.until(lambda: rig.pool.alive == 3)
    assert len(rig.notes.up) == 1


@pytest.mark.parametrize("turns", range(12))
def test_a_template_may_die_at_any_moment_of_a_boot(rig: Rig, turns: int) -> None:
    rig.boot(1)
    rig.pool.want(4)
    for _ in range(turns):
        rig.loop.run_once(0.001)
    os.kill(rig.template_pid(), signal.SIGKILL)
    rig.until(lambda: rig.pool.alive == 4)


def test_a_template_that_is_stopped_is_replaced(rig: Rig) -> None:
    rig.boot(1, boot_timeout=2.5)
    template = rig.template_pid()
    os.kill(template, signal.SIGSTOP)
    rig.pool.want(2)
    rig.until(lambda: rig.pool.alive == 2)
    assert rig.template_pid() != template
    assert all(child.age < 60 for child in rig.pool.children())


@both
def test_what_a_lost_task_had_started_dies_with_it(rig: Rig) -> None:
    rig.boot(1)
    job = rig.start_job("leave_process")
    rig.until(lambda: rig.notes.progress)
    sleeper = psutil.Process(rig.notes.progress[0][1]["pid"])
    os.kill(rig.notes.started[job], signal.SIGKILL)
    rig.until(lambda: job in rig.notes.lost)
    eventually(lambda: not sleeper.is_running() or sleeper.status() == "zombie")


@both
def test_a_child_that_closes_its_sockets_is_ended(rig: Rig) -> None:
    rig.boot(1)
    job = rig.submit("close_everything")
    rig.until(lambda: job in rig.notes.lost)
    assert rig.notes.lost[job].words == "its job closed the socket to the supervisor"
    assert rig.notes.lost[job].cause is Cause.PROTOCOL
    assert rig.run("echo")[0]["state"] == "SUCCESS"


def test_a_child_that_writes_garbage_spoils_its_own_socket_only(rig: Rig, tmp_path: Path) -> None:
    rig.boot(2)
    go = tmp_path / "go"
    good = rig.start_job("wait_for", path=str(go))
    bad = rig.submit("garbage")
    rig.until(lambda: bad in rig.notes.lost)
    assert "protocol error" in rig.notes.lost[bad].words
    assert rig.notes.lost[bad].cause is Cause.PROTOCOL
    go.touch()
    rig.until(lambda: good in rig.notes.done)


def test_kill_job_ends_the_child_that_runs_it(rig: Rig) -> None:
    rig.boot(2)
    job = rig.start_job("stubborn")
    assert not rig.pool.kill_job(99, "nobody")
    assert rig.pool.kill_job(job, "revoked by the operator")
    rig.until(lambda: job in rig.notes.lost)
    death = rig.notes.lost[job]
    assert (death.cause, death.words) == (Cause.OPERATOR, "revoked by the operator")
    assert (death.signal, death.hard_limit) == ("SIGKILL", None)
    rig.until(lambda: rig.pool.alive == 2)
    assert rig.notes.degraded == []


def test_a_job_that_began_in_the_instant_of_a_kill_is_a_bystander(rig: Rig, tmp_path: Path) -> None:
    rig.boot(1)
    over, begun, never = (tmp_path / name for name in ("over", "begun", "never"))

    def follow_in_one_child() -> tuple[int, int] | None:
        """Two jobs at one child, as when the last ones were short; the first ends while we stand still."""
        for _ in range(50):
            rig.run("echo")
        first = rig.start_job("wait_for", path=str(over))
        second = rig.submit("wait_for", path=str(never), begun=str(begun))
        over.touch()
        with contextlib.suppress(AssertionError):
            eventually(begun.exists, within=2)
            return first, second
        never.touch()
        rig.until(lambda: {first, second} <= rig.notes.done.keys())
        for path in (over, begun, never):
            path.unlink(missing_ok=True)
        return None

    first, second = rig.until(follow_in_one_child, within=60)
    assert rig.pool.kill_job(first, "by hand")
    rig.until(lambda: second in rig.notes.lost)
    assert first in rig.notes.done
    death = rig.notes.lost[second]
    assert (death.cause, death.words) == (Cause.BYSTANDER, "killed for the job before it (by hand)")


def test_a_crash_loop_does_not_spin_and_is_told(rig: Rig) -> None:
    rig.boot(1)
    pids: set[int] = set()

    def crash() -> bool:
        for child in rig.pool.children():
            if child.pid and child.state == "IDLE" and child.pid not in pids:
                pids.add(child.pid)
                os.kill(child.pid, signal.SIGKILL)
        return bool(rig.notes.degraded)

    rig.until(crash)
    assert rig.notes.degraded[0] is not None
    assert "6 deaths within 60s, the last: killed by signal 9 (SIGKILL)" in rig.notes.degraded[0]
    assert len(pids) == 6
    assert rig.pool.info()["degraded"] == rig.notes.degraded[0]
    # It still comes back, after a pause.
    rig.until(lambda: rig.pool.alive == 1)


def test_children_that_die_while_they_start_are_not_forked_at_once_again(rig: Rig, tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.touch()
    rig.boot(2, dies_unless=str(there))
    there.unlink()
    os.kill(rig.pool.children()[0].pid, signal.SIGKILL)
    rig.until(lambda: rig.pool.alive == 1)
    budget = rig.pool._reconciler.health.children
    rig.until(lambda: len(budget._deaths) >= 3)
    there.touch()
    rig.until(lambda: rig.pool.alive == 2)
    assert budget._deaths[2] - budget._deaths[1] >= 0.9


def test_a_crash_at_the_start_is_told_as_one(rig: Rig, tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.touch()
    rig.boot(1, dies_unless=str(there))
    there.unlink()
    rig.pool.want(2)
    rig.until(lambda: rig.pool.deaths.last)
    death = rig.pool.deaths.last[0].death
    assert (death.cause, death.words) == (Cause.START, "exit code 9 before it was ready")
    assert rig.pool.deaths.last[0].title == ""


def test_children_that_leave_are_no_deaths(rig: Rig) -> None:
    rig.boot(3)
    rig.pool.want(1)
    rig.until(lambda: len(rig.pool.children()) == 1)
    rig.pool.reload()
    rig.until(lambda: rig.pool.generation == 2 and len(rig.pool.children()) == 1)
    assert not rig.pool.deaths.last


def test_a_child_whose_supervisor_dies_before_it_is_adopted_leaves_at_once() -> None:
    pid = os.fork()
    if pid == 0:
        try:
            _be_adopted(Birth(supervisor=-1, slot=1, name="t", down=-1, up=-1, out=-1, err=-1))
        finally:
            os._exit(9)
    assert os.waitpid(pid, 0)[1] == 0


def test_a_peer_that_was_killed_before_it_had_read_all_is_the_end_of_the_file() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.send(b"unread")
    theirs.close()
    assert frames.receive(ours) is None
    ours.close()
