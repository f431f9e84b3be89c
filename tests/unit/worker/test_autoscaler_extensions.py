"""The autoscaler as extensions know it: its facts, its bounds, and sizes by their wish."""

from __future__ import annotations

import pytest

from tests.unit.worker.scaled import Rig, rig
from workerd.errors import ConfigError, WorkerdError

__all__ = ["rig"]


def test_it_tells_its_bounds_and_what_it_has(rig: Rig) -> None:
    rig.pool.runs(0.1, waiting=2)
    expected = {"max": 8, "min": 1, "current": 1, "qty": 3}
    assert rig.step.info() == expected
    assert rig.step.info(rig) == {"autoscaler": expected}
    assert (rig.step.qty, rig.step.processes) == (3, 1)


def test_new_bounds_come_as_max_and_min(rig: Rig) -> None:
    assert rig.step.update(max=6, min=3) == (6, 3)
    assert rig.pool.wanted == 3
    assert rig.step.update(max=4) == (4, 3)
    assert rig.step.update(min=2) == (4, 2)
    with pytest.raises(ConfigError, match="1 <= lower <= upper, not 5-4"):
        rig.step.update(min=5)
    with pytest.raises(ConfigError, match="at most 1000 slots"):
        rig.step.update(max=5000)
    assert rig.pool.bounds == (2, 4)


def test_an_extension_scales_within_the_bounds_and_its_wish_stays_for_a_window(rig: Rig) -> None:
    assert rig.step.scale_up(3) == 4
    assert [rig.tick()[0] for _ in range(32)] == [4] * 31 + [1]
    assert rig.step.scale_up(99) == 8
    assert rig.step.scale_down(3) == 5
    assert rig.step.scale_down(99) == 1
    assert rig.pool.bounds == (1, 8)


def test_while_memory_is_short_an_extension_makes_a_pool_no_larger(rig: Rig) -> None:
    rig.pool.memory.short = "memory is short: all of it is in use"
    for grow in (rig.step.scale_up, rig.step.force_scale_up):
        with pytest.raises(
            WorkerdError, match=r"pool default cannot grow from 1 to 3 slots now, memory is short"
        ):
            grow(2)
    with pytest.raises(WorkerdError, match="from 1 to 4"):
        rig.step.update(min=4)
    assert (rig.pool.wanted, rig.pool.bounds) == (1, (1, 8))
    assert rig.step.update(max=9) == (9, 1)
    assert rig.step.scale_down(1) == 1


def test_by_force_the_bounds_give_way(rig: Rig) -> None:
    rig.pool.bounds, rig.pool.wanted = (3, 4), 4
    assert (rig.step.force_scale_up(2), rig.pool.bounds) == (6, (3, 6))
    assert (rig.step.force_scale_down(4), rig.pool.bounds) == (2, (2, 6))
    assert (rig.step.force_scale_down(9), rig.pool.bounds) == (1, (1, 6))
