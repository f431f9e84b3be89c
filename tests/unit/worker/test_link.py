"""The link's states, and how long it waits for the next attempt."""

from __future__ import annotations

import random

import pytest

from tests.support.clock import FakeClock
from workerd.worker.consumer.link import CAP, FIRST, Link, LinkState


class Bounds(random.Random):
    """Gives back the upper bound that it is asked for, and remembers both."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[float, float]] = []

    def uniform(self, a: float, b: float) -> float:
        self.asked.append((a, b))
        return b


def up(clock: FakeClock) -> Link:
    """A link that is up for the first time."""
    link = Link()
    link.connecting(clock.now())
    link.up(clock.now())
    return link


def test_a_new_link_is_down_and_says_why() -> None:
    link = Link()
    assert (link.state, link.generation, link.reason) == (LinkState.DOWN, 0, "not connected yet")


def test_each_attempt_is_a_generation(clock: FakeClock) -> None:
    link = Link()
    assert link.connecting(clock.now()) == 1
    assert link.state is LinkState.CONNECTING
    link.down("refused", clock.now())

    assert link.connecting(clock.now()) == 2
    link.up(clock.now())
    assert (link.state, link.generation) == (LinkState.UP, 2)


def test_a_link_that_is_up_has_no_reason_and_no_failures(clock: FakeClock) -> None:
    link = Link()
    link.connecting(clock.now())
    link.down("refused", clock.now())
    clock.advance(1.0)
    link.connecting(clock.now())
    link.up(clock.now())

    assert (link.reason, link.failures, link.since) == ("", 0, 1001.0)


def test_the_first_connection_is_no_restart(clock: FakeClock) -> None:
    link = up(clock)
    assert link.restarts == 0
    for _ in range(2):
        link.down("lost", clock.now())
        link.connecting(clock.now())
        link.up(clock.now())

    assert link.restarts == 2


def test_attempts_that_fail_are_no_restarts(clock: FakeClock) -> None:
    link = up(clock)
    for _ in range(5):
        link.down("refused", clock.now())
        link.connecting(clock.now())

    assert link.restarts == 0


def test_an_outage_is_told_from_its_beginning_with_its_last_reason(clock: FakeClock) -> None:
    link = up(clock)
    clock.advance(60.0)
    link.down("reset by peer", clock.now())
    for _ in range(3):
        clock.advance(5.0)
        link.connecting(clock.now())
        link.down("refused", clock.now())

    assert (link.since, link.reason, link.failures) == (1060.0, "refused", 4)


def test_a_broker_that_is_down_at_the_start_is_missed_since_the_first_attempt(clock: FakeClock) -> None:
    link = Link()
    for _ in range(3):
        link.connecting(clock.now())
        link.down("refused", clock.now())
        clock.advance(5.0)

    assert link.since == 1000.0


def test_the_bound_of_the_wait_doubles_up_to_the_cap(clock: FakeClock) -> None:
    link = Link(random=Bounds())
    assert [link.down("refused", clock.now()) for _ in range(7)] == [0.25, 0.5, 1.0, 2.0, 4.0, 4.0, 4.0]


def test_the_wait_grows_once_every_server_has_been_tried(clock: FakeClock) -> None:
    link = Link(random=Bounds(), ways=2)
    assert [link.down("refused", clock.now()) for _ in range(6)] == [0.25, 0.25, 0.5, 0.5, 1.0, 1.0]


def test_an_attempt_that_took_long_is_followed_by_a_rest_once_every_server_has_been_tried(
    clock: FakeClock,
) -> None:
    link, waits = Link(random=Bounds(), ways=2), []
    for _ in range(2):
        link.connecting(clock.now())
        clock.advance(5.0)
        waits.append(link.down("no answer", clock.now()))
    assert waits == [0.25, 10.0]


def test_the_wait_starts_small_again_after_a_success(clock: FakeClock) -> None:
    link = Link(random=Bounds())
    for _ in range(6):
        link.down("refused", clock.now())
    link.connecting(clock.now())
    link.up(clock.now())

    assert link.down("lost", clock.now()) == FIRST


def test_the_whole_wait_is_left_to_chance(clock: FakeClock) -> None:
    chance = Bounds()
    Link(random=chance).down("refused", clock.now())

    assert chance.asked == [(0.0, FIRST)]


@pytest.mark.parametrize("failures", [1, 2, 5, 50, 2000])
def test_a_wait_is_within_its_bounds(clock: FakeClock, rng: random.Random, failures: int) -> None:
    link = Link(random=rng, failures=failures - 1)
    assert 0.0 <= link.down("refused", clock.now()) <= min(CAP, FIRST * 2.0 ** min(failures - 1, 10))
