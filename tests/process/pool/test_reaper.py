"""The reaper, with processes of its own."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from tests.support.eventually import eventually
from tests.support.loop import SelectorLoop
from workerd_pool import Reaper


@pytest.fixture
def loop() -> Iterator[SelectorLoop]:
    loop = SelectorLoop()
    yield loop
    assert loop.descriptors == 0
    loop.close()


def spawn(script: str) -> int:
    return os.posix_spawn("/bin/sh", ["sh", "-c", script], {})


def zombie(pid: int) -> bool:
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def test_a_watcher_gets_the_status_and_can_act_before_the_pid_is_free(loop: SelectorLoop) -> None:
    statuses: list[int] = []
    seen: list[bool] = []
    reaper = Reaper(loop)
    pid = spawn("read x; exit 3")
    reaper.watch(pid, statuses.append, lambda: seen.append(zombie(pid)))
    assert reaper.signal(pid, signal.SIGKILL)
    loop.until(lambda: statuses)
    assert os.waitstatus_to_exitcode(statuses[0]) in (3, -signal.SIGKILL)
    assert seen == [True]
    assert not reaper.signal(pid, signal.SIGKILL)


def test_a_stranger_is_reaped_and_remembered_for_who_comes_late(loop: SelectorLoop) -> None:
    statuses: list[int] = []
    reaper = Reaper(loop)
    pid = spawn("exit 5")
    eventually(lambda: zombie(pid))
    reaper.reap()
    reaper.watch(pid, statuses.append)
    loop.until(lambda: statuses)
    assert os.waitstatus_to_exitcode(statuses[0]) == 5


def test_what_is_remembered_is_forgotten_after_ten_seconds(loop: SelectorLoop) -> None:
    now = [0.0]
    reaper = Reaper(loop, lambda: now[0])
    pid = spawn("exit 5")
    eventually(lambda: zombie(pid))
    reaper.reap()
    now[0] = 11.0
    reaper.reap()
    with pytest.raises(ProcessLookupError):
        reaper.watch(pid, lambda status: None)


def test_a_zombie_that_is_watched_before_it_is_reaped_is_told_too(loop: SelectorLoop) -> None:
    statuses: list[int] = []
    reaper = Reaper(loop)
    pid = spawn("exit 6")
    eventually(lambda: zombie(pid))
    reaper.watch(pid, statuses.append)
    loop.until(lambda: statuses)
    assert os.waitstatus_to_exitcode(statuses[0]) == 6


def test_a_closed_reaper_watches_nobody(loop: SelectorLoop) -> None:
    reaper = Reaper(loop)
    pid = spawn("exit 0")
    reaper.watch(pid, lambda status: None)
    reaper.close()
    reaper.close()
    os.waitpid(pid, 0)
