"""What a child is: whose, in which group, with which descriptors, and deaf to whole groups."""

from __future__ import annotations

import fcntl
import json
import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.process.pool.conftest import ROOT, Rig, both
from tests.support.eventually import eventually


def facts(rig: Rig) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(rig.run("facts")[1])
    return told


@pytest.fixture
def inherited() -> Iterator[int]:
    """A descriptor of this process that every exec would inherit."""
    ours, theirs = socket.socketpair()
    os.set_inheritable(ours.fileno(), True)
    yield ours.fileno()
    ours.close()
    theirs.close()


@both
def test_a_child_has_its_standard_streams_and_two_sockets(inherited: int, rig: Rig) -> None:
    rig.boot(2)
    told = facts(rig)
    others = {int(fd): name for fd, name in told["fds"].items() if int(fd) > 2}
    assert len(others) == 2
    assert all(name.startswith("socket:") for name in others.values())
    assert told["fds"]["0"] == "/dev/null"
    assert str(Path(f"/proc/self/fd/{inherited}").readlink()) not in others.values()


@both
def test_no_descriptor_comes_with_a_limit_that_was_lowered_since(inherited: int, rig: Rig) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    high = fcntl.fcntl(inherited, fcntl.F_DUPFD, before[0] - 1)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[0] - 1, before[1]))
    try:
        rig.boot(1, open_files=200)
        told = facts(rig)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        os.close(high)
    assert str(high) not in told["fds"]
    assert told["open_files"] == [200, before[1]]


@both
def test_a_child_is_the_supervisors_and_leads_its_group(rig: Rig) -> None:
    rig.boot(1)
    told = facts(rig)
    assert told["ppid"] == os.getpid()
    assert told["group"] == told["pid"]
    assert all(os.getpgid(template) == template for template in rig.template_pids())
    assert told["handlers"] == [True, True, True]
    assert told["blocked"] == []
    assert told["started"] == 1


def test_the_environment_is_the_supervisors_and_the_recipes_without_systemds(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/none")
    monkeypatch.setenv("HOST_SAYS", "yes")
    rig.boot(1)
    environ = facts(rig)["environ"]
    assert environ["WORKERD_TEST"] == "pool"
    assert environ["HOST_SAYS"] == "yes"
    assert "NOTIFY_SOCKET" not in environ


@both
def test_signals_to_whole_groups_do_not_disturb(rig: Rig, tmp_path: Path) -> None:
    rig.boot(2)
    go = tmp_path / "go"
    job = rig.start_job("wait_for", path=str(go))
    before, templates = rig.pids(), rig.template_pids()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        for pid in (*before, *templates):
            os.killpg(pid, number)
    go.touch()
    rig.until(lambda: job in rig.notes.done)
    assert rig.run("echo", b"1")[1] == b"1"
    assert (rig.pids(), rig.template_pids()) == (before, templates)


def test_signals_during_the_boot_do_not_disturb(rig: Rig) -> None:
    rig.pool.want(3)
    rig.pool.start()

    def disturb() -> bool:
        for pid in [*rig.pids(), *(t["pid"] for t in rig.pool.info()["templates"])]:
            if pid:
                os.kill(pid, signal.SIGTERM)
                os.kill(pid, signal.SIGINT)
        return rig.pool.alive == 3

    rig.until(disturb)
    assert rig.notes.failed == [] and rig.notes.degraded == []


@both
def test_terminate_works_on_what_a_task_starts(rig: Rig) -> None:
    rig.boot(1)
    assert rig.run("terminate_own_process")[0] == {"exec": -signal.SIGTERM, "fork": -signal.SIGTERM}


@both
def test_a_tasks_own_handler_lasts_until_the_task_ends(rig: Rig) -> None:
    rig.boot(1)
    first = rig.run("own_handler")[0]
    assert first == {"seen": [signal.SIGTERM], "before": "do_nothing"}
    assert rig.run("own_handler")[0] == first


@both
def test_a_fork_of_a_task_that_comes_back_to_the_loop_ends_there(rig: Rig) -> None:
    rig.boot(1)
    header, _ = rig.run("fork_and_fall_through")
    assert os.waitstatus_to_exitcode(header["status"]) == 70
    assert len(rig.notes.done) == 1


def test_a_child_whose_stop_raises_leaves_all_the_same(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    rig.boot(1, bad_stop=True)
    rig.pool.close()
    rig.until(lambda: rig.notes.empty)
    assert "child_stopping raised RuntimeError('cannot stop')" in caplog.text
    assert rig.notes.degraded == []


def test_titles_tell_state_and_task(rig: Rig) -> None:
    rig.boot(2)
    rig.start_job("sleep", seconds=60)

    def titles() -> list[str]:
        rig.loop.run_once(0.01)
        return sorted(" ".join(psutil.Process(pid).cmdline()).strip() for pid in rig.pids())

    eventually(lambda: any("proj.sleep[1] since" in title for title in titles()))
    eventually(lambda: any("idle since" in title for title in titles()))
    assert all(title.startswith("workerd[t] child ") for title in titles())
    assert " ".join(psutil.Process(rig.template_pid()).cmdline()).strip() == "workerd[t] template gen 1"


@pytest.mark.parametrize(("options", "templates"), [("", 1), ("thread=True", 0)])
def test_nobody_is_left_when_the_supervisor_is_killed(options: str, templates: int) -> None:
    program = (
        "import sys\n"
        "from tests.process.pool.conftest import Rig\n"
        f"rig = Rig().boot(3, {options})\n"
        "rig.start_job('stubborn')\n"
        f"rig.until(lambda: len(rig.template_pids()) == {templates})\n"
        "print(*rig.pids(), *rig.template_pids(), flush=True)\n"
        "rig.until(lambda: False, within=60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        stderr=subprocess.DEVNULL,
    ) as supervisor:
        assert supervisor.stdout is not None
        family = [psutil.Process(int(word)) for word in supervisor.stdout.readline().split()]
        assert len(family) == 3 + templates
        supervisor.kill()
        eventually(lambda: not any(_lives(process) for process in family))


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
