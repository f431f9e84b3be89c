"""What a job does to its process: put back, or the child is replaced; the next job never notices."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.process.pool.conftest import Rig
from workerd_pool import Cause


def state_of(rig: Rig) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(rig.run("facts")[1])
    told.pop("fds")
    return told


@pytest.mark.parametrize(
    ("do", "words"),
    [
        ("sets_handlers", "signal handlers"),
        ("sets_an_alarm", "the alarm timer"),
        ("blocks_signals", "the signal mask"),
        ("goes_elsewhere", "the umask, the working directory"),
        ("replaces_streams", "sys.stdin, stdout or stderr"),
    ],
)
def test_what_a_job_changes_is_put_back_and_told(
    rig: Rig, caplog: pytest.LogCaptureFixture, do: str, words: str
) -> None:
    caplog.set_level("INFO")
    rig.boot(1)
    before = state_of(rig)
    assert rig.run(do)[0]["state"] == "SUCCESS"
    assert state_of(rig) == before  # the same child, too: its pid is in there
    assert re.search(rf"proj.{do}\[2\] changed .*{words} of its process; put back", caplog.text)
    assert rig.run("sleep", seconds=0.4)[0]["state"] == "SUCCESS"
    (pid,) = rig.pids()
    assert pid == before["pid"]


def test_the_soft_limit_and_the_dump_work_again_after_a_job_that_took_their_signals(rig: Rig) -> None:
    rig.boot(1)
    rig.run("sets_handlers")
    assert rig.run("soft", seconds=60, soft_limit=0.1)[0] == {"state": "SOFT"}
    job = rig.start_job("wait_for", path="/nonexistent")

    def dumped() -> bool:
        for child in rig.pool._reconciler.crew:
            child.dump()
        return any("in wait_for" in line.text for line in rig.notes.lines)

    rig.until(dumped)
    assert job not in rig.notes.lost


@pytest.mark.parametrize(
    ("do", "more", "words"),
    [
        ("closes_a_stream", {}, "sys.stdout or sys.stderr closed"),
        ("closes", {"fds": [1]}, "stdout closed or replaced"),
        ("closes", {"fds": [0, 1, 2]}, "stdin, stdout, stderr closed or replaced"),
        ("removes_its_directory", {}, "its working directory is gone"),
    ],
)
def test_a_child_that_a_job_has_worn_out_is_replaced_after_the_job(
    rig: Rig, caplog: pytest.LogCaptureFixture, tmp_path: Path, do: str, more: dict[str, Any], words: str
) -> None:
    caplog.set_level("INFO")
    home = tmp_path / "home"
    home.mkdir()
    rig.boot(1, home=str(home))
    (pid,) = rig.pids()
    assert rig.run(do, **more)[0] == {"state": "SUCCESS"}
    home.mkdir(exist_ok=True)
    assert rig.run("echo", b"next")[1] == b"next"
    rig.until(lambda: pid not in rig.pids())
    assert f"proj.{do}[1] has left it unfit for others: {words}" in caplog.text
    assert not rig.pool.deaths.last and rig.notes.degraded == [] and rig.notes.lost == {}


def test_a_redirection_that_is_left_writes_nothing_into_the_file_but_the_jobs_words(
    rig: Rig, tmp_path: Path
) -> None:
    rig.boot(1)
    (pid,) = rig.pids()
    rig.run("redirects", path=str(tmp_path / "out"))
    rig.run("says", b"into the log")
    assert (tmp_path / "out").read_text() == "into the file\n"
    assert [line.text for line in rig.notes.lines] == ["into the log"]
    rig.until(lambda: pid not in rig.pids())


def test_a_stdout_that_does_not_wait_is_made_to_wait_again(rig: Rig) -> None:
    rig.boot(1)
    rig.run("does_not_wait", then_wait=True)
    block = b"".join(b"%07d\n" % number for number in range(8_000))
    job = rig.submit("prints", block, times=4)
    rig.until(lambda: len(rig.notes.lines) == 1 + 4 * 8_000)
    assert rig.notes.done[job][0] == {"state": "SUCCESS"}


def test_a_redirection_that_is_taken_back_is_nobodys_business(rig: Rig, tmp_path: Path) -> None:
    rig.boot(1)
    pids = rig.pids()
    rig.run("redirects_for_a_while", path=str(tmp_path / "out"))
    rig.run("echo")
    assert [line.text for line in rig.notes.lines] == ["into the log"]
    assert rig.pids() == pids


def test_jobs_that_wait_behind_one_that_wears_the_child_out_run_elsewhere(rig: Rig) -> None:
    rig.boot(1)
    rig.quicken()
    jobs = [rig.submit("closes", fds=[1]), *(rig.submit("echo") for _ in range(3))]
    # What the child has left unread when it goes is given to its successor, or to the host again.
    rig.until(lambda: all(job in rig.notes.done or job in rig.notes.returned for job in jobs))
    assert jobs[0] in rig.notes.done and not rig.notes.lost


def test_a_job_that_closes_every_descriptor_is_lost_with_the_cause(rig: Rig) -> None:
    rig.boot(1)
    job = rig.submit("closes_all")
    rig.until(lambda: job in rig.notes.lost)
    death = rig.notes.lost[job]
    assert (death.cause, death.words) == (Cause.PROTOCOL, "its job closed the socket to the supervisor")
    assert rig.run("echo", b"next")[1] == b"next"


@pytest.mark.parametrize(
    ("do", "more", "error"),
    [
        ("raises_hostile", {}, "<HostileError whose repr raises RuntimeError>"),
        ("raises_base", {"kind": "interrupt"}, "KeyboardInterrupt('x')"),
        ("raises_base", {"kind": "base"}, "BaseException('x')"),
        ("raises_base", {"kind": "exit"}, "SystemExit('x')"),
        ("recurses", {}, "RecursionError("),
        ("returns_hostile", {}, "TypeError('the runner returned <HostileError whose repr raises"),
        ("returns_halves", {}, "UnicodeEncodeError("),
    ],
)
def test_whatever_a_job_raises_or_returns_is_that_jobs_outcome(
    rig: Rig, do: str, more: dict[str, Any], error: str
) -> None:
    rig.boot(1)
    pids = rig.pids()
    header, _ = rig.run(do, **more)
    assert header["state"] == "INTERNAL"
    assert header["error"].startswith(error)
    assert rig.run("echo", b"next")[1] == b"next"
    assert rig.pids() == pids


@pytest.mark.parametrize("do", ["changes_environment", "starts_a_thread", "asks_for_exit_hooks"])
def test_what_is_the_apps_own_is_left_and_does_not_keep_the_child(rig: Rig, do: str) -> None:
    rig.boot(1)
    pids = rig.pids()
    assert rig.run(do)[0] == {"state": "SUCCESS"}
    assert rig.run("echo", b"next")[1] == b"next"
    assert rig.pids() == pids
    rig.pool.close()
    rig.until(lambda: rig.notes.empty)
    assert not rig.pool.deaths.last
    assert not any("exit hook" in line.text for line in rig.notes.lines)


def test_what_del_raises_is_in_the_log_with_the_job(rig: Rig) -> None:
    rig.boot(1)
    assert rig.run("raises_in_del")[0] == {"state": "SUCCESS"}
    texts = [line.text for line in rig.notes.lines if line.job is not None and line.job.id == 1]
    assert texts[0].startswith("Exception ignored in") and texts[-1] == "ValueError: raised by __del__"


def test_a_daemon_that_a_job_makes_holds_nothing_up(rig: Rig) -> None:
    rig.boot(1)
    header, _ = rig.run("daemonises", seconds=600)
    daemon = psutil.Process(header["daemon"])
    (pid,) = rig.pids()
    os.kill(pid, signal.SIGKILL)
    rig.until(lambda: rig.pids() - {pid} and rig.pool.alive == 1)
    assert rig.run("echo", b"next")[1] == b"next"
    # It has called setsid: what escapes the group outlives the child.
    assert daemon.is_running()
    daemon.kill()
    rig.until(lambda: rig.pool.reaper.reap() or not daemon.is_running())


def test_bodies_of_64_megabytes_pass_both_ways(rig: Rig) -> None:
    rig.boot(1)
    body = os.urandom(1 << 20) * 64
    assert rig.run("echo", body)[1] == body
