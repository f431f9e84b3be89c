"""The restart budget."""

from __future__ import annotations

import math

import pytest

from workerd_pool.budget import UNLIMITED, RestartBudget


def test_deaths_within_the_budget_are_replaced_at_once() -> None:
    budget = RestartBudget(limit=3, window=60.0)
    for now in (0.0, 1.0, 2.0):
        budget.died(now, "boom", ready=True)
        assert budget.allowed(now, starting=0) == UNLIMITED
    assert budget.reason is None
    assert budget.next_change(2.0) == math.inf


def test_over_the_budget_one_start_at_a_time_after_a_delay_that_doubles() -> None:
    budget = RestartBudget(limit=1, window=60.0, first_delay=1.0, max_delay=5.0)
    budget.died(0.0, "boom", ready=True)
    now = 0.0
    for delay in (1.0, 2.0, 4.0, 5.0, 5.0):
        budget.died(now, "boom", ready=True)
        assert budget.reason is not None and "the last: boom" in budget.reason
        assert budget.next_change(now) == now + delay
        assert budget.allowed(now + delay - 0.01, starting=0) == 0
        assert budget.allowed(now + delay, starting=0) == 1
        assert budget.allowed(now + delay, starting=1) == 0
        now += delay


def test_a_whole_window_without_deaths_is_health() -> None:
    budget = RestartBudget(limit=0, window=60.0)
    budget.died(0.0, "boom", ready=True)
    budget.died(50.0, "boom", ready=True)
    assert budget.allowed(61.0, starting=0) == 1
    assert budget.next_change(61.0) == 110.0
    assert budget.allowed(110.0, starting=0) == UNLIMITED
    assert budget.reason is None


def test_a_start_that_fails_is_told_and_waited_for_even_within_the_budget() -> None:
    budget = RestartBudget(limit=5)
    budget.died(0.0, "boom", ready=False)
    assert budget.reason == "a start failed, the last: boom"
    assert budget.allowed(0.5, starting=0) == 0
    assert budget.next_change(0.5) == 1.0
    assert budget.allowed(1.0, starting=0) == 1
    assert budget.allowed(1.0, starting=1) == 0
    budget.died(1.1, "bang", ready=False)
    assert budget.reason == "2 starts in a row failed, the last: bang"
    budget.came_up()
    assert budget.reason is None
    assert budget.allowed(1.2, starting=0) == UNLIMITED


def test_what_dies_while_starts_are_put_off_makes_the_wait_no_longer() -> None:
    """All children are killed at once, and one of them was not ready yet."""
    budget = RestartBudget(limit=5)
    budget.died(0.0, "killed", ready=False)
    for _ in range(3):
        budget.died(0.02, "killed", ready=True)
    assert budget.next_change(0.02) == 1.0
    # The next failure is one of a start that has waited, so the one after it waits for longer.
    budget.died(1.1, "killed", ready=False)
    assert budget.next_change(1.1) == 3.1


def test_starts_that_fail_are_counted_as_such_however_many_they_become() -> None:
    budget = RestartBudget(limit=2, window=60.0)
    for times in range(8):
        budget.died(30.0 * times, "boom", ready=False)
    assert budget.reason == "8 starts in a row failed, the last: boom"


def test_deaths_are_said_to_be_within_the_window_only_when_all_are() -> None:
    budget = RestartBudget(limit=2, window=60.0)
    for now in (0.0, 10.0, 20.0):
        budget.died(now, "boom", ready=True)
    assert budget.reason == "3 deaths within 60s, the last: boom"
    budget.died(70.0, "boom", ready=True)
    assert budget.reason == "4 deaths with less than 60s between them, the last: boom"


def test_one_that_comes_up_does_not_end_a_crash_loop() -> None:
    budget = RestartBudget(limit=1)
    budget.died(0.0, "boom", ready=True)
    budget.died(0.0, "boom", ready=True)
    budget.came_up()
    assert budget.reason is not None
    assert budget.allowed(0.5, starting=0) == 0


@pytest.mark.parametrize("seconds", [0.0, 0.7, 5.0])
@pytest.mark.parametrize("limit", [5, 200])
def test_starts_that_always_fail_are_at_most_six_a_minute(seconds: float, limit: int) -> None:
    budget = RestartBudget(limit=limit)
    now, starts = 0.0, []
    while now < 600.0:
        if budget.allowed(now, starting=0):
            starts.append(now)
            now += seconds  # that the start takes to fail
            budget.died(now, "boom", ready=False)
        else:
            now = budget.next_change(now)
    assert budget.reason is not None
    for begin in starts:
        assert sum(begin <= start < begin + 60.0 for start in starts) <= 6


def test_old_deaths_are_forgotten() -> None:
    budget = RestartBudget(limit=2, window=60.0)
    for now in range(0, 600, 31):
        budget.died(float(now), "boom", ready=True)
        assert budget.reason is None


def test_a_delay_as_long_as_the_window_is_refused() -> None:
    with pytest.raises(ValueError, match="health"):
        RestartBudget(window=30.0, max_delay=30.0)
