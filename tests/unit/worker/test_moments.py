"""The moments of a daemon's life: which signal, when, and with which words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from signal import Signals
from typing import Any

import pytest

from workerd import App, signals
from workerd.worker.life.lifecycle import Event, Life, State, asked_by, decide
from workerd.worker.life.moments import Moments

Told = list[tuple[str, Any, dict[str, Any]]]


@dataclass
class Worker:
    """A worker with a life and no steps."""

    life: Life = field(default_factory=lambda: Life(State.RUNNING))
    hostname: str = "main@here"
    app: App = field(default_factory=App)
    consumer: str = "the consumer"
    moments: Any = None

    def __post_init__(self) -> None:
        self.moments = Moments(self)  # type: ignore[arg-type]

    @property
    def state(self) -> State:
        return self.life.state

    def happened(self, event: Event) -> None:
        before = self.life
        self.life, _ = decide(self.life, event)
        if self.life.state is not before.state:
            self.moments.happened(event)

    def signalled(self, signum: Signals) -> None:
        event = asked_by(signum, self.life)
        assert event is not None
        self.moments.asked_by(signum, event)
        self.happened(event)


@pytest.fixture
def told() -> Iterator[Told]:
    """(signal, sender, other words) of all signals of a daemon's life."""
    got: Told = []
    names = (
        "worker_init",
        "celeryd_after_setup",
        "worker_ready",
        "worker_shutting_down",
        "worker_shutdown",
    )
    receivers = []
    for name in names:

        def receive(signal: Any, sender: Any, **words: Any) -> None:
            got.append((signal.name, sender, words))

        receivers.append((name, getattr(signals, name).connect(receive, weak=False)))
    yield got
    for name, receiver in receivers:
        getattr(signals, name).disconnect(receiver)


def stop(sig: str, how: str, code: int) -> tuple[str, str, dict[str, Any]]:
    return ("worker_shutting_down", "main@here", {"sig": sig, "how": how, "exitcode": code})


def test_a_whole_life(told: Told) -> None:
    worker = Worker(Life(State.BOOTING))
    worker.moments.making_steps()
    worker.moments.starting()
    worker.happened(Event.STARTED)
    worker.moments.ready()
    worker.signalled(Signals.SIGTERM)
    worker.happened(Event.DRAINED)
    worker.moments.ended()

    assert told == [
        ("worker_init", worker, {}),
        ("celeryd_after_setup", "main@here", {"instance": worker, "conf": worker.app.conf}),
        ("worker_ready", "the consumer", {}),
        stop("SIGTERM", "Warm", 0),
        ("worker_shutdown", worker, {}),
    ]


def test_a_second_signal_makes_it_a_cold_stop_and_later_ones_change_nothing(told: Told) -> None:
    worker = Worker()
    worker.signalled(Signals.SIGINT), worker.signalled(Signals.SIGTERM), worker.signalled(Signals.SIGTERM)

    assert told == [stop("SIGINT", "Warm", 0), stop("SIGTERM", "Cold", 0)]


def test_a_stop_by_the_socket_is_told_as_the_signal_that_asks_for_the_same(told: Told) -> None:
    for event in (Event.STOP_ASKED, Event.QUIT_ASKED, Event.RESTART_ASKED):
        Worker().happened(event)

    assert told == [stop("SIGTERM", "Warm", 0), stop("SIGQUIT", "Cold", 0), stop("SIGUSR2", "Warm", 0)]


def test_a_deadline_asks_for_nothing(told: Told) -> None:
    worker = Worker()
    worker.happened(Event.STOP_ASKED), worker.happened(Event.DEADLINE)
    worker.happened(Event.STEP_FAILED)

    assert told == [stop("SIGTERM", "Warm", 0)]


def test_the_signal_of_one_request_is_not_that_of_the_next(told: Told) -> None:
    worker = Worker()
    worker.signalled(Signals.SIGUSR1)  # a dump
    worker.happened(Event.STOP_ASKED)

    assert told == [stop("SIGTERM", "Warm", 0)]


def test_an_end_without_waiting_and_one_before_the_start_are_no_shutdown(told: Told) -> None:
    killed, early = Worker(), Worker(Life(State.BOOTING))
    killed.moments.starting()
    told.clear()
    killed.signalled(Signals.SIGQUIT)
    killed.moments.ended(), early.moments.ended()

    assert told == [stop("SIGQUIT", "Cold", 0)]
