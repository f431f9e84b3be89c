"""How many jobs may wait at a child: as many as it does in ten milliseconds, and one slow one is not many."""

from __future__ import annotations

from workerd_pool.pace import HELD, MAX_DEPTH, PATIENCE, Pace

SHORT = HELD / MAX_DEPTH / 2


def paced(*jobs: float) -> Pace:
    """After many short jobs, these."""
    pace = Pace()
    for seconds in (*[SHORT] * 200, *jobs):
        pace.record(seconds)
    return pace


def test_a_child_holds_one_job_until_it_is_known_how_long_they_take() -> None:
    assert Pace().depth == 1


def test_short_jobs_wait_in_numbers_and_long_ones_one_at_a_time() -> None:
    assert paced().depth == MAX_DEPTH
    assert paced(*[HELD / 4] * 60).depth == 4
    assert paced(*[PATIENCE] * 2).depth == 1


def test_one_job_that_waited_for_a_core_is_no_sign_that_jobs_are_longer_now() -> None:
    assert paced(HELD * 0.9).depth == MAX_DEPTH


def test_one_job_that_takes_longer_than_all_that_may_wait_behind_it_counts_in_full() -> None:
    assert paced(PATIENCE).depth == 1


def test_jobs_that_are_longer_now_are_known_after_a_few() -> None:
    assert paced(*[HELD / 2] * 8).depth < MAX_DEPTH / 8
