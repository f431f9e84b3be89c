"""The last moment: a thread of the app that never ends does not keep the process, nor change its code."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROGRAM = """
import sys, threading
from workerd.worker.life.leaving import do_not_wait_for
threading.Thread(target=threading.Event().wait).start()
do_not_wait_for(threading.enumerate()[1:], 75)
sys.stdout.write("a last word")
"""
BUFFERED = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}


@pytest.mark.parametrize("read", [True, False])
def test_a_thread_that_never_ends_is_not_waited_for_whoever_reads_the_output(read: bool) -> None:
    ours, theirs = os.pipe()
    if not read:
        os.close(ours)
    argv = [sys.executable, "-c", PROGRAM]
    ended = subprocess.run(
        argv, env=BUFFERED, stdout=theirs, stderr=subprocess.DEVNULL, timeout=30, check=False
    )
    os.close(theirs)
    assert ended.returncode == 75
    if read:
        assert os.read(ours, 100) == b"a last word"
        os.close(ours)
