"""Blocks that the inbox ends: by a stop that somebody asks for, or when their time is over."""

from __future__ import annotations

import signal
import socket
import threading
import time
import traceback
from signal import Signals

import pytest

from tests.unit.worker.signalled import inbox, taken
from workerd.worker.loop.inbox import Inbox, StopRequested

__all__ = ["inbox"]


def test_a_stop_interrupts_a_blocking_call(inbox: Inbox) -> None:
    ours, theirs = socket.socketpair()
    ours.settimeout(60)
    main = threading.main_thread().ident
    assert main is not None
    sender = threading.Thread(target=signal.pthread_kill, args=(main, Signals.SIGTERM))
    with ours, theirs, pytest.raises(StopRequested), inbox.interruptible():
        sender.start()
        ours.recv(1)
    sender.join()

    assert taken(inbox) == [Signals.SIGTERM], "the request itself still waits"


@pytest.mark.parametrize("signum", [Signals.SIGTERM, Signals.SIGINT, Signals.SIGQUIT])
def test_a_stop_that_waits_already_is_not_slept_over(inbox: Inbox, signum: Signals) -> None:
    signal.raise_signal(signum)

    with pytest.raises(StopRequested), inbox.interruptible():
        pytest.fail("the block was entered")


def test_other_signals_do_not_interrupt(inbox: Inbox) -> None:
    with inbox.interruptible():
        signal.raise_signal(Signals.SIGHUP)
        signal.raise_signal(Signals.SIGCHLD)

    assert len(inbox.take()) == 2


def test_a_stop_outside_the_block_raises_nothing(inbox: Inbox) -> None:
    with inbox.interruptible():
        pass
    signal.raise_signal(Signals.SIGTERM)

    assert taken(inbox) == [Signals.SIGTERM]


def test_the_code_that_unwinds_is_not_interrupted_again(inbox: Inbox) -> None:
    unwound = False
    with pytest.raises(StopRequested), inbox.interruptible():
        try:
            signal.raise_signal(Signals.SIGTERM)
        finally:
            signal.raise_signal(Signals.SIGINT)
            unwound = True

    assert unwound


def test_what_is_interruptible_ends_when_the_stop_leaves_no_more_time() -> None:
    inbox = Inbox()
    inbox.until = time.monotonic() + 0.05
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(StopRequested), inbox.interruptible():
        ours.recv(1)
    with pytest.raises(StopRequested), inbox.interruptible():
        pytest.fail("the block was entered")
    inbox.uninstall()


def test_what_is_bounded_is_left_without_an_error_and_hears_no_stop(inbox: Inbox) -> None:
    before = signal.getsignal(signal.SIGALRM)
    signal.raise_signal(Signals.SIGTERM)
    ours, theirs = socket.socketpair()
    with ours, theirs, inbox.bounded(0.05):
        signal.raise_signal(Signals.SIGTERM)
        ours.recv(1)
        pytest.fail("it was not left")

    assert signal.getsignal(signal.SIGALRM) == before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert taken(inbox) == [Signals.SIGTERM]


def test_what_ends_in_time_is_not_left(inbox: Inbox) -> None:
    ended = False
    with inbox.bounded(60):
        ended = True
    with pytest.raises(ValueError, match="its own"), inbox.bounded(60):
        raise ValueError("its own")

    assert ended
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def wait_in_vain() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.recv(1)
    pytest.fail("it was not left")


def test_what_is_bounded_may_be_told_and_shows_where_it_was(inbox: Inbox) -> None:
    with pytest.raises(TimeoutError, match="too long") as caught, inbox.bounded(0.05, "too long"):
        wait_in_vain()

    trace = traceback.extract_tb(caught.value.__cause__.__traceback__)  # type: ignore[union-attr]
    assert "wait_in_vain" in [frame.name for frame in trace]


def test_a_bound_within_a_bound_ends_with_the_outer_one_at_the_latest(inbox: Inbox) -> None:
    left = []
    with inbox.bounded(0.05):
        with inbox.bounded(60):
            wait_in_vain()
            left.append("not bounded")
        # The outer one ends a moment after the inner one: on a busy machine before it comes to this line.
        wait_in_vain()
        left.append("not bounded")
    left.append("the outer one")

    assert left == ["the outer one"]
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_a_bound_goes_on_after_one_within_it_that_ended_in_time(inbox: Inbox) -> None:
    with inbox.bounded(0.1):
        with inbox.bounded(0.05):
            pass
        wait_in_vain()


class Farewell:
    """Waits for a signal, or for the end of its time, where nothing that is raised goes up."""

    def __init__(self, signum: Signals | None = None) -> None:
        self._signum = signum

    def __del__(self) -> None:
        if self._signum is not None:
            signal.raise_signal(self._signum)
        else:
            time.sleep(60)


def go_on() -> None:
    for _ in range(6000):
        time.sleep(0.01)
    pytest.fail("never interrupted")


def test_a_stop_that_comes_in_a_finalizer_is_raised_once_it_is_over(
    inbox: Inbox, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(StopRequested), inbox.interruptible():
        Farewell(Signals.SIGTERM)
        with inbox.bounded(60):
            go_on()

    assert taken(inbox) == [Signals.SIGTERM]
    with inbox.interruptible():
        pass
    assert capfd.readouterr().err == ""


def test_a_bound_that_ends_in_a_finalizer_ends_what_is_bounded(inbox: Inbox) -> None:
    waited = 0.0
    with inbox.bounded(0.05):
        Farewell()  # until its end, which Python drops
        waited = time.monotonic()
        go_on()
    assert waited, "the end of the finalizer was that of the block"


def test_stop_requested_is_not_caught_as_an_exception() -> None:
    assert not issubclass(StopRequested, Exception)
