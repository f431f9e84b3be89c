"""A process that a test left behind is found, wherever it hid."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.support.eventually import eventually
from tests.support.leaks import LeakCheck, kill

# In a session of its own, without its first parent, under another title.
HIDER = """
import os, sys, time, setproctitle
if os.fork():
    os._exit(0)
os.setsid()
setproctitle.setproctitle("hider")
print("there", flush=True)
os.close(1)
os.close(2)
time.sleep(600)
"""


@pytest.fixture
def check() -> Iterator[LeakCheck]:
    check = LeakCheck()  # its mark hides the run's own until it is closed
    yield check
    check.close()


def test_a_process_that_left_its_parent_session_and_title_is_found(check: LeakCheck) -> None:
    assert check.leftovers() == []
    done = subprocess.run([sys.executable, "-c", HIDER], capture_output=True, text=True, check=True)
    assert done.stdout == "there\n"

    left = check.wait(within=0.1)

    assert [leftover.title for leftover in left] == ["hider"]
    kill(left)
    kill(left)  # gone by itself meanwhile is no error
    eventually(lambda: check.leftovers() == [])


def test_a_process_that_has_ended_and_is_not_reaped_yet_is_not_left(check: LeakCheck) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)

    assert check.leftovers() == []
    assert ended.wait() == 0
