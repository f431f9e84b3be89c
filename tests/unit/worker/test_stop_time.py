"""One end for a whole stop: what each part of it may take, and what the sum can never exceed."""

from __future__ import annotations

import math

import pytest

from tests.support.clock import FakeClock
from workerd.worker.life.stop_time import LEAST, ROOM, Part, StopTime


def test_without_a_stop_every_part_has_its_own_time(clock: FakeClock) -> None:
    time = StopTime(clock)

    assert all(time.left(5.0, part) == 5.0 for part in Part)
    assert all(math.isinf(time.left(math.inf, part)) for part in Part)


def test_a_part_takes_no_more_than_it_needs(clock: FakeClock) -> None:
    time = StopTime(clock)
    time.ends_within(605)

    assert time.left(5.0, Part.CHILDREN) == 5.0


def test_whatever_is_silent_the_whole_takes_less_than_two_seconds_more(clock: FakeClock) -> None:
    time, began = StopTime(clock), clock.now()
    time.ends_within(15)
    clock.advance(15)  # the deadline and the grace period are over
    for part in Part:
        patience = time.left(10.0, part)
        assert patience >= LEAST
        clock.advance(patience)

    assert clock.now() - began == pytest.approx(15 + ROOM - Part.SERVER.value)
    assert ROOM < 2.0


def test_a_loop_that_was_held_up_leaves_each_part_a_moment(clock: FakeClock) -> None:
    time = StopTime(clock)
    time.ends_within(1)
    clock.advance(60)

    assert all(time.left(5.0, part) == LEAST for part in Part)
    assert time.left(0.0, Part.LINK) == 0.0


def test_a_stop_that_is_hurried_ends_sooner_and_never_later(clock: FakeClock) -> None:
    time = StopTime(clock)
    time.ends_within(600)
    time.ends_within(5)
    time.ends_within(300)

    assert time.left(math.inf, Part.SERVER) == pytest.approx(5 + ROOM - Part.SERVER.value)


def test_the_parts_keep_ever_less_for_those_after_them() -> None:
    kept = [part.value for part in Part]

    assert kept == sorted(kept, reverse=True)
    assert len(set(kept)) == len(kept)
