"""What is done again and again: never late, and with other things where that can be."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.clock import FakeClock
from workerd.source.redis.chores import AHEAD, Chores


class FakeTimer:
    def __init__(self, when: float, callback: Callable[..., object], args: tuple[object, ...]) -> None:
        self.when, self.callback, self.args = when, callback, args
        self.canceled = False

    def cancel(self) -> None:
        self.canceled = True


class FakeLoop:
    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.timers: list[FakeTimer] = []

    def call_later(self, delay: float, callback: Callable[..., object], *args: object) -> FakeTimer:
        self.timers.append(FakeTimer(self._clock.now() + delay, callback, args))
        return self.timers[-1]

    def advance(self, seconds: float) -> None:
        self._clock.advance(seconds)
        due = [timer for timer in self.timers if timer.when <= self._clock.now()]
        self.timers = [timer for timer in self.timers if timer not in due]
        for timer in due:
            if not timer.canceled:
                timer.callback(*timer.args)


@pytest.fixture
def loop(clock: FakeClock) -> FakeLoop:
    return FakeLoop(clock)


@pytest.fixture
def chores(loop: FakeLoop, clock: FakeClock) -> Chores:
    return Chores(loop, clock)  # type: ignore[arg-type]


def test_without_rounds_it_is_done_at_its_pace(chores: Chores, loop: FakeLoop) -> None:
    done: list[int] = []
    chores.every(10.0, lambda: done.append(1))
    for count in (1, 2, 3):
        loop.advance(9.9)
        assert len(done) == count - 1
        loop.advance(0.1)
        assert len(done) == count


def test_a_round_does_what_would_be_due_before_the_next_one(chores: Chores, loop: FakeLoop) -> None:
    done: list[int] = []
    chores.every(10.0, lambda: done.append(1))
    loop.advance(9.9 - AHEAD)
    chores.flush()
    assert not done
    loop.advance(0.2)
    chores.flush()
    chores.flush()
    assert len(done) == 1
    loop.advance(9.9)
    assert len(done) == 1  # from when it was done, not from when it would have been due
    loop.advance(0.1)
    assert len(done) == 2


def test_what_is_quicker_than_rounds_is_not_done_in_each(chores: Chores, loop: FakeLoop) -> None:
    done: list[int] = []
    chores.every(0.5, lambda: done.append(1))
    loop.advance(0.2)
    chores.flush()
    assert not done
    loop.advance(0.1)
    chores.flush()
    chores.flush()
    assert len(done) == 1


def test_nothing_is_done_after_the_end(chores: Chores, loop: FakeLoop) -> None:
    done: list[int] = []
    chores.every(1.0, lambda: done.append(1))
    chores.stop()
    chores.stop()
    chores.flush()
    loop.advance(5.0)
    assert not done
