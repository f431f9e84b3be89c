"""The reaper, with processes of its own."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from tests.support.descriptors import none_left
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


@pytest.mark.parametrize("script", ["exit 7", "kill -TERM $$", "kill -SEGV $$"])
def test_a_death_that_somebody_else_has_waited_for_is_told_with_its_status(
    loop: SelectorLoop, script: str
) -> None:
    statuses: list[int] = []
    waited: list[int] = []
    reaper = Reaper(loop)
    first, second = spawn(script), spawn("exit 8")
    # As a thread of the app does that waits for whatever ends.
    reaper.watch(first, statuses.append, lambda: waited.append(os.waitpid(first, 0)[1]))
    reaper.watch(second, statuses.append)
    loop.until(lambda: len(statuses) == 2)
    assert sorted(statuses) == sorted([waited[0], 8 << 8])


def test_without_a_descriptor_left_a_child_is_watched_all_the_same(loop: SelectorLoop) -> None:
    statuses: list[int] = []
    reaper = Reaper(loop)
    pid = spawn("exec sleep 60")
    with none_left():
        reaper.watch(pid, statuses.append)
    assert reaper.signal(pid, signal.SIGKILL)
    eventually(lambda: zombie(pid))
    reaper.reap()  # as on SIGCHLD
    assert [os.waitstatus_to_exitcode(status) for status in statuses] == [-signal.SIGKILL]
    assert not reaper.signal(pid, signal.SIGKILL)


def test_a_process_that_is_not_ours_to_signal_is_told_and_no_error(
    loop: SelectorLoop, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    statuses: list[int] = []
    reaper = Reaper(loop)
    pid = spawn("exec sleep 60")
    reaper.watch(pid, statuses.append)
    with monkeypatch.context() as patch:
        # As for a program of another user; root, who runs some of these tests, may signal everybody.
        patch.setattr(signal, "pidfd_send_signal", refuse)
        assert not reaper.signal(pid, signal.SIGKILL)
    assert "runs as another user" in caplog.text
    assert reaper.signal(pid, signal.SIGKILL)
    loop.until(lambda: statuses)


def refuse(*words: object) -> None:
    raise PermissionError(1, "Operation not permitted")


def test_a_closed_reaper_watches_nobody(loop: SelectorLoop) -> None:
    reaper = Reaper(loop)
    pid = spawn("exit 0")
    reaper.watch(pid, lambda status: None)
    reaper.close()
    reaper.close()
    os.waitpid(pid, 0)
