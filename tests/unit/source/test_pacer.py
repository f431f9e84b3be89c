"""Many requests, one piece of work, and a rest after it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.clock import FakeClock
from workerd.source.redis.pacer import Pacer

COST = 2


class FakeLoop:
    def __init__(self) -> None:
        self.soon: list[Callable[..., object]] = []
        self.later: list[tuple[float, Callable[..., object]]] = []

    def call_soon(self, callback: Callable[..., object]) -> None:
        self.soon.append(callback)

    def call_later(self, delay: float, callback: Callable[..., object]) -> FakeLoop:
        self.later.append((delay, callback))
        return self

    def cancel(self) -> None:
        self.later.clear()

    def turn(self) -> None:
        soon, self.soon = self.soon, []
        for callback in soon:
            callback()


@pytest.fixture
def loop() -> FakeLoop:
    return FakeLoop()


@pytest.fixture
def work() -> list[int]:
    return []


@pytest.fixture
def pacer(loop: FakeLoop, clock: FakeClock, work: list[int]) -> Pacer:
    def once() -> int:
        work.append(1)
        return COST

    return Pacer(loop, clock, 0.25, once)  # type: ignore[arg-type]


def test_requests_of_one_turn_are_one_piece_of_work(loop: FakeLoop, pacer: Pacer, work: list[int]) -> None:
    pacer.ask(), pacer.ask()
    loop.turn()
    assert work == [1]


def test_after_work_comes_a_rest(loop: FakeLoop, clock: FakeClock, pacer: Pacer, work: list[int]) -> None:
    pacer.ask(), loop.turn()
    clock.advance(0.2)
    pacer.ask(), pacer.ask(), loop.turn()
    assert work == [1]
    [(delay, fire)] = loop.later
    assert delay == pytest.approx(0.3)
    fire()
    assert work == [1, 1]


def test_rested_work_begins_in_the_next_turn(
    loop: FakeLoop, clock: FakeClock, pacer: Pacer, work: list[int]
) -> None:
    pacer.ask(), loop.turn()
    clock.advance(0.5)
    pacer.ask(), loop.turn()
    assert work == [1, 1]


def test_what_is_urgent_is_done_before_the_next_turn_unless_it_has_to_rest(
    loop: FakeLoop, clock: FakeClock, pacer: Pacer, work: list[int]
) -> None:
    pacer.ask_at_once()
    assert (work, loop.soon) == ([1], [])
    pacer.ask_at_once()
    [(delay, _)] = loop.later
    assert (work, delay) == ([1], 0.5)


def test_what_is_urgent_waits_for_the_turn_that_others_have_asked_for(
    loop: FakeLoop, pacer: Pacer, work: list[int]
) -> None:
    pacer.ask(), pacer.ask_at_once()
    assert not work
    loop.turn()
    assert work == [1]


def test_work_that_asks_for_itself_is_done_again_and_not_within_itself(
    loop: FakeLoop, clock: FakeClock
) -> None:
    depth = [0]

    def nested() -> int:
        depth[0] += 1
        assert depth[0] == 1
        pacer.ask_at_once()
        depth[0] -= 1
        return 0

    pacer = Pacer(loop, clock, 0.0, nested)  # type: ignore[arg-type]
    pacer.ask_at_once()
    assert len(loop.soon) == 1


def test_a_closed_pacer_works_no_more(loop: FakeLoop, pacer: Pacer, work: list[int]) -> None:
    pacer.ask(), pacer.close(), loop.turn()
    pacer.ask(), loop.turn()
    assert work == []
