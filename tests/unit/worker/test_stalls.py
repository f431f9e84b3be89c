"""A callback that holds up the loop is told with its stack; what may wait is not."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from workerd.worker.loop.hub import Hub
from workerd.worker.loop.inbox import Inbox
from workerd.worker.loop.stalls import Stalls

LIMIT, HOPELESS = 0.03, 0.06

Run = Callable[[Callable[[], Any]], None]


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    inbox = Inbox()
    yield inbox
    inbox.uninstall()


@pytest.fixture
def stderr(tmp_path: Path) -> Path:
    return tmp_path / "stderr"


@pytest.fixture
def run(inbox: Inbox, stderr: Path) -> Iterator[Run]:
    """Run a hub with this one callback."""
    hub, fd = Hub(), os.open(stderr, os.O_CREAT | os.O_WRONLY)
    before = signal.getsignal(signal.SIGALRM)
    hub.stalls = Stalls(hub, inbox, fd, LIMIT, HOPELESS)

    def one(callback: Callable[[], Any]) -> None:
        hub.call_soon(callback)
        hub.call_later(0.0, hub.stop)
        hub.run()

    yield one
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    hub.stalls.close()
    assert signal.getsignal(signal.SIGALRM) == before
    hub.dispose()
    os.close(fd)


def outer_wait() -> None:
    inner_wait()


def inner_wait() -> None:
    time.sleep(LIMIT + (HOPELESS - LIMIT) / 2)


def test_who_holds_up_the_loop_is_told_with_the_stack_from_the_callback_on(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    run(outer_wait)

    lines = caplog.records[0].getMessage().splitlines()
    assert lines[0].startswith(f"{__name__}.outer_wait held up the loop for ")
    assert [line.strip().rpartition(", in ")[2] for line in lines[1:]] == [
        "outer_wait",
        "inner_wait()",
        "inner_wait",
        "time.sleep(LIMIT + (HOPELESS - LIMIT) / 2)",
    ]


def test_it_is_told_once_a_turn(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    run(outer_wait)
    run(outer_wait)

    assert len(caplog.records) == 2


def test_what_may_never_be_over_is_shown_while_it_lasts(run: Run, stderr: Path) -> None:
    seen = []

    def hang() -> None:
        while not (text := stderr.read_text()):
            time.sleep(HOPELESS)
        seen.append(text)

    run(hang)

    assert "(most recent call first)" in seen[0] and "in hang" in seen[0]


def test_what_waits_for_a_broker_may(inbox: Inbox, run: Run, caplog: pytest.LogCaptureFixture) -> None:
    def connect() -> None:
        with inbox.interruptible():
            inner_wait()

    run(connect)

    assert caplog.records == []


def test_a_loop_that_sleeps_sets_no_alarm(inbox: Inbox, caplog: pytest.LogCaptureFixture) -> None:
    hub = Hub()
    hub.stalls = Stalls(hub, inbox, limit=LIMIT, hopeless=HOPELESS)
    hub.call_later(3 * HOPELESS, hub.stop)
    hub.run()
    hub.stalls.close()
    hub.dispose()

    assert caplog.records == []
