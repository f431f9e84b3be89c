"""The signal inbox: record and wake, then read; real signals to this very process."""

from __future__ import annotations

import os
import select
import signal
import threading
from signal import Signals

import pytest

from tests.support.clock import FakeClock
from tests.unit.worker.signalled import inbox, taken
from workerd.worker.loop.hub import Hub
from workerd.worker.loop.inbox import SIGNALS, SLOTS, Inbox

__all__ = ["inbox"]


def readable(inbox: Inbox) -> bool:
    return bool(select.select([inbox], [], [], 0)[0])


@pytest.mark.parametrize("signum", SIGNALS)
def test_each_signal_is_recorded_and_wakes(inbox: Inbox, signum: Signals) -> None:
    signal.raise_signal(signum)

    assert readable(inbox)
    assert taken(inbox) == [signum]
    assert not readable(inbox)
    assert taken(inbox) == []


def test_the_time_of_arrival_is_told(inbox: Inbox, clock: FakeClock) -> None:
    signal.raise_signal(Signals.SIGTERM)
    clock.advance(30)

    assert [seen.at for seen in inbox.take()] == [1000.0]


def test_different_signals_come_in_the_order_of_arrival(inbox: Inbox, clock: FakeClock) -> None:
    for signum in (Signals.SIGUSR1, Signals.SIGHUP, Signals.SIGTERM):
        signal.raise_signal(signum)
        clock.advance(0.1)

    assert taken(inbox) == [Signals.SIGUSR1, Signals.SIGHUP, Signals.SIGTERM]


@pytest.mark.parametrize("signum", [Signals.SIGTERM, Signals.SIGINT, Signals.SIGQUIT, Signals.SIGUSR2])
def test_a_repeat_within_a_second_is_the_same_request(
    inbox: Inbox, clock: FakeClock, signum: Signals
) -> None:
    signal.raise_signal(signum)
    clock.advance(0.5)
    signal.raise_signal(signum)
    assert taken(inbox) == [signum]
    clock.advance(0.4)
    signal.raise_signal(signum)
    assert taken(inbox) == []
    clock.advance(0.1)
    signal.raise_signal(signum)
    assert taken(inbox) == [signum], "a second after the request that counted"


def test_requests_that_wait_while_the_loop_is_held_up_are_told_apart(inbox: Inbox, clock: FakeClock) -> None:
    for _ in range(3):
        signal.raise_signal(Signals.SIGTERM)
        clock.advance(2)

    assert taken(inbox) == [Signals.SIGTERM] * 3


def test_only_the_last_arrivals_are_remembered(inbox: Inbox, clock: FakeClock) -> None:
    for _ in range(10):
        signal.raise_signal(Signals.SIGTERM)
        clock.advance(2)

    assert [seen.at for seen in inbox.take()] == [1012.0, 1014.0, 1016.0, 1018.0]


def test_different_signals_are_different_requests(inbox: Inbox) -> None:
    signal.raise_signal(Signals.SIGTERM)
    signal.raise_signal(Signals.SIGQUIT)

    assert sorted(taken(inbox)) == [Signals.SIGQUIT, Signals.SIGTERM]


@pytest.mark.parametrize(
    ("first", "second"), [(Signals.SIGTERM, Signals.SIGINT), (Signals.SIGINT, Signals.SIGTERM)]
)
@pytest.mark.parametrize("between", ["nothing", "a take"])
def test_term_and_int_within_a_second_are_one_request(
    inbox: Inbox, clock: FakeClock, first: Signals, second: Signals, between: str
) -> None:
    told: list[Signals] = []
    signal.raise_signal(first)
    clock.advance(0.9)
    if between == "a take":
        told += taken(inbox)
    signal.raise_signal(second)
    told += taken(inbox)
    assert told == [first]
    clock.advance(0.1)
    signal.raise_signal(second)

    assert taken(inbox) == [second], "a second after the request that counted"


def test_term_and_int_are_merged_in_the_order_of_arrival(inbox: Inbox, clock: FakeClock) -> None:
    for signum in (Signals.SIGTERM, Signals.SIGINT, Signals.SIGINT, Signals.SIGTERM):
        signal.raise_signal(signum)
        clock.advance(0.6)

    assert [(seen.signum, seen.at) for seen in inbox.take()] == [
        (Signals.SIGTERM, 1000.0),
        (Signals.SIGINT, pytest.approx(1001.2)),
    ]


@pytest.mark.parametrize("signum", [Signals.SIGTTIN, Signals.SIGTTOU])
def test_a_counter_is_told_each_time_however_soon(inbox: Inbox, signum: Signals) -> None:
    signal.raise_signal(signum)
    assert taken(inbox) == [signum]
    for _ in range(SLOTS - 1):
        signal.raise_signal(signum)
    assert taken(inbox) == [signum] * (SLOTS - 1)
    for _ in range(SLOTS + 5):
        signal.raise_signal(signum)

    assert taken(inbox) == [signum] * SLOTS, "no more are remembered between two takes"


@pytest.mark.parametrize("signum", [Signals.SIGHUP, Signals.SIGCHLD])
def test_a_reload_or_a_dead_child_is_told_after_every_take(inbox: Inbox, signum: Signals) -> None:
    signal.raise_signal(signum)
    signal.raise_signal(signum)
    assert taken(inbox) == [signum], "what came before the take is one fact"
    signal.raise_signal(signum)
    assert taken(inbox) == [signum], "however soon after"


def test_a_hub_hears_of_signals(inbox: Inbox) -> None:
    hub = Hub()
    seen: list[Signals] = []

    def read() -> None:
        seen.extend(taken(inbox))
        hub.stop()

    hub.add_reader(inbox, read)
    hub.call_soon(os.kill, os.getpid(), Signals.SIGUSR1)
    hub.run()
    hub.dispose()

    assert seen == [Signals.SIGUSR1]


def test_uninstall_puts_back_what_was_there() -> None:
    before = {signum: signal.getsignal(signum) for signum in SIGNALS}
    inbox = Inbox()
    inbox.install()
    assert all(signal.getsignal(signum) != before[signum] for signum in SIGNALS)

    inbox.uninstall()

    assert {signum: signal.getsignal(signum) for signum in SIGNALS} == before


def test_handlers_can_be_taken_back_from_an_app_that_changed_them(inbox: Inbox) -> None:
    signal.signal(Signals.SIGTERM, signal.SIG_IGN)
    signal.set_wakeup_fd(-1)

    inbox.install()
    signal.raise_signal(Signals.SIGTERM)

    assert readable(inbox)
    assert taken(inbox) == [Signals.SIGTERM]


def test_a_signal_that_was_blocked_over_an_exec_is_not_lost() -> None:
    inbox = Inbox()
    signal.pthread_sigmask(signal.SIG_BLOCK, {Signals.SIGUSR2})
    # To this thread: of the whole process another one, which does not block it, might be hit.
    signal.pthread_kill(threading.get_ident(), Signals.SIGUSR2)

    inbox.install()
    seen = taken(inbox)
    inbox.uninstall()

    assert seen == [Signals.SIGUSR2]


def test_install_needs_the_main_thread() -> None:
    inbox = Inbox()
    caught: list[Exception] = []

    def install() -> None:
        try:
            inbox.install()
        except ValueError as exc:
            caught.append(exc)

    thread = threading.Thread(target=install)
    thread.start()
    thread.join()
    inbox.uninstall()

    assert len(caught) == 1
