"""How much work may wait here."""

from __future__ import annotations

import pytest

from workerd.delivery import Prefetch


def prefetch(runtime: float) -> Prefetch:
    prefetch = Prefetch()
    for _ in range(50):
        prefetch.record(runtime)
    return prefetch


@pytest.mark.parametrize(
    ("runtime", "waiting"),
    [
        (30.0, 0),  # long tasks wait at the broker, where others can take them
        (0.01, 20),  # two slots start twenty of these in 100 ms
        (0.0, 256),  # bounded, however short they are
    ],
)
def test_waiting_work_is_what_the_slots_start_within_the_horizon(runtime: float, waiting: int) -> None:
    assert prefetch(runtime).waiting(slots=2) == waiting


def test_before_the_first_task_only_free_slots_count() -> None:
    assert Prefetch().room(slots=4, free=3, reserved=0) == 3


def test_what_waits_already_is_not_asked_for_again() -> None:
    assert prefetch(0.01).room(slots=2, free=0, reserved=15) == 5


def test_one_long_task_does_not_stop_short_ones_for_long() -> None:
    mixed = prefetch(0.001)
    mixed.record(10.0)
    for _ in range(100):
        mixed.record(0.001)
    assert mixed.waiting(slots=2) > 100


def test_it_adds_up_what_all_tasks_took() -> None:
    prefetch = Prefetch()
    assert (prefetch.mean, prefetch.spent, prefetch.ended) == (None, 0.0, 0)
    prefetch.record(8.0), prefetch.record(16.0)
    assert (prefetch.mean, prefetch.spent, prefetch.ended) == (9.0, 24.0, 2)
