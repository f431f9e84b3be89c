"""The process between a template and its child: it must never go on as a template."""

from __future__ import annotations

import errno
import os
import signal
import socket
from typing import NoReturn

import pytest

from workerd_pool.child import Birth
from workerd_pool.template import Template

RETURNED = 77


def no_fork() -> NoReturn:
    raise OSError(errno.EAGAIN, "no process for the child")


def test_the_process_in_between_ends_when_nobody_reads_its_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    ours, theirs = socket.socketpair()
    birth = Birth(os.getpid(), 1, "test", ours.fileno(), theirs.fileno())
    template = Template(os.getpid(), theirs)
    os.close(reader)  # as with a template that has been killed
    pid = os.fork()
    if pid == 0:
        try:
            signal.signal(signal.SIGPIPE, signal.SIG_IGN)
            monkeypatch.setattr(os, "fork", no_fork)
            template._between(birth, writer)
        finally:
            os._exit(RETURNED)
    os.close(writer)
    ours.close()
    theirs.close()

    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
