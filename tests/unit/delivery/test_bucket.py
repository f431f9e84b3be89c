"""A token bucket by a clock that is moved by hand."""

from __future__ import annotations

import random

import pytest
from kombu.utils.limits import TokenBucket as KombuBucket

from tests.support.clock import FakeClock
from workerd.delivery import TokenBucket


def bucket(clock: FakeClock, rate: float, capacity: float = 1) -> TokenBucket:
    return TokenBucket(rate, capacity, now=clock.now)


def test_it_begins_full_and_gives_one_token_for_each_turn(clock: FakeClock) -> None:
    five = bucket(clock, 5)
    assert (five.expected_time(), five.consume(), five.consume()) == (0.0, True, False)
    assert five.expected_time() == pytest.approx(0.2)
    clock.advance(0.1)
    assert not five.can_consume()
    assert five.expected_time(3) == pytest.approx(0.5)
    clock.advance(0.1)
    assert five.consume()


def test_what_was_not_used_is_not_made_up_for(clock: FakeClock) -> None:
    slow = bucket(clock, 10 / 60)
    clock.advance(3600)
    assert [slow.consume() for _ in range(3)] == [True, False, False]


def test_a_capacity_lets_so_many_begin_at_once(clock: FakeClock) -> None:
    three = bucket(clock, 1, capacity=3)
    assert [three.consume() for _ in range(4)] == [True, True, True, False]
    clock.advance(1)
    assert not three.consume(2)  # nothing was taken
    assert three.consume()


def test_turns_that_come_late_cost_nothing_of_the_rate(clock: FakeClock, rng: random.Random) -> None:
    fast, began, start = bucket(clock, 400), 0, clock.now()
    while clock.now() < start + 10:
        began += fast.consume()
        clock.advance(fast.expected_time() + rng.uniform(0, 0.002))  # epoll counts milliseconds
    assert 3990 <= began <= 4005


def test_a_new_rate_keeps_what_is_in_it(clock: FakeClock) -> None:
    one = bucket(clock, 1 / 60)
    one.consume()
    clock.advance(30)
    one.fill_rate = 1.0
    assert not one.consume()
    assert one.expected_time() == pytest.approx(0.5)


@pytest.mark.parametrize(("rate", "capacity"), [(0, 1), (-1, 1), (1, 0.5)])
def test_one_that_could_never_give_a_token_is_refused(rate: float, capacity: float) -> None:
    with pytest.raises(ValueError, match="a bucket fills"):
        TokenBucket(rate, capacity)


def test_items_wait_at_a_bucket_as_at_kombus(clock: FakeClock) -> None:
    one = bucket(clock, 1)
    one.add("first"), one.add(("second", 2))
    assert list(one.contents) == ["first", ("second", 2)]
    assert one.pop() == "first"
    one.clear_pending()
    assert not one.contents
    with pytest.raises(IndexError):
        one.pop()
    assert one.consume()  # what waits takes no tokens by itself


def test_it_has_the_names_of_kombus_bucket(clock: FakeClock) -> None:
    public = {name for name in dir(KombuBucket(1)) if not name.startswith("_")} - {"timestamp"}
    assert public <= set(dir(bucket(clock, 1)))
