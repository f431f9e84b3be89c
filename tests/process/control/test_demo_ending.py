"""A demo that is ended from outside leaves nothing behind, however it is ended."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.support.eventually import eventually
from tests.support.leaks import gone


def home_of(demo: subprocess.Popen[str]) -> Path:
    """The demo's own directory, once its daemon runs."""
    assert demo.stdout is not None
    for line in demo.stdout:
        if line.startswith("daemon: "):
            return Path(line.rpartition("log ")[2].strip()).parent
    raise AssertionError("the demo ended before its daemon ran")


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_demo_that_is_ended_leaves_nothing_running(signum: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "workerd", "demo", "--size", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as demo:
        home = home_of(demo)
        family = psutil.Process(demo.pid).children(recursive=True)
        assert len(family) >= 3  # daemon, template, child or broker
        os.kill(demo.pid, signum)
        code = demo.wait(40.0)

    assert code == (-signum if signum == signal.SIGKILL else 128 + signum)
    eventually(lambda: not [one for one in family if not gone(one)], within=40.0)
    assert home.exists() == (signum == signal.SIGKILL)
    shutil.rmtree(home, ignore_errors=True)
