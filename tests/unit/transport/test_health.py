"""When a silent peer is taken for gone."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from workerd.transport.health import HealthCheck


class FakeTimer:
    def __init__(self) -> None:
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class FakeLoop:
    def __init__(self) -> None:
        self.delay = 0.0
        self.timer = FakeTimer()

    def call_repeatedly(self, delay: float, callback: Callable[..., object], *args: object) -> FakeTimer:
        self.delay = delay
        return self.timer


class FakeLink:
    def __init__(self) -> None:
        self.busy = False
        self.sent: list[Sequence[tuple[str, ...]]] = []
        self.lost: list[str] = []
        self.on_read: Callable[[], None] = lambda: None

    def read(self) -> None:
        self.on_read()

    def send(self, commands: Sequence[tuple[str, ...]]) -> None:
        self.busy = True
        self.sent.append(commands)

    def lose(self, reason: str) -> None:
        self.lost.append(reason)


@pytest.fixture
def link() -> FakeLink:
    return FakeLink()


@pytest.fixture
def check(link: FakeLink) -> HealthCheck:
    check = HealthCheck(FakeLoop(), link, 28.0)  # type: ignore[arg-type]
    check.start()
    return check


def test_a_peer_that_goes_silent_is_lost_within_the_deadline(link: FakeLink, check: HealthCheck) -> None:
    check.tick()  # it was heard before
    check.tick()
    assert link.sent == [[("PING",)]]
    check.tick()
    assert not link.lost
    check.tick()  # the fourth quarter of the deadline
    assert link.lost == ["no answer for 28 s"]


def test_an_idle_link_is_asked_again_and_again(link: FakeLink, check: HealthCheck) -> None:
    for pings in range(1, 4):
        check.tick()
        check.tick()
        assert len(link.sent) == pings
        link.busy = False
        check.heard()
    assert not link.lost


def test_replies_that_are_due_are_waited_for_without_a_ping(link: FakeLink, check: HealthCheck) -> None:
    link.busy = True
    check.tick()
    check.tick()
    check.heard()
    check.tick()
    check.tick()
    check.tick()
    assert not link.sent
    assert len(link.lost) == 1


def test_after_a_long_stop_of_this_process_what_waits_in_the_socket_counts(
    link: FakeLink, check: HealthCheck
) -> None:
    link.busy = True
    check.tick()
    check.tick()
    link.on_read = check.heard
    check.tick()
    assert not link.lost


def test_a_read_that_ends_the_link_ends_the_check(link: FakeLink, check: HealthCheck) -> None:
    link.on_read = check.stop
    check.tick()
    assert not link.sent
