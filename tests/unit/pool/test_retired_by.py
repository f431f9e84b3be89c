"""Whom another size would retire, before anybody asks for it."""

from __future__ import annotations

import pytest

from tests.unit.pool.test_plan import children, view
from workerd_pool.plan import ChildView, retired_by


@pytest.mark.parametrize(
    ("wanted", "keys"), [(9, []), (3, []), (2, [103]), (1, [103, 102]), (0, [103, 102, 101])]
)
def test_the_highest_slots_go_first(wanted: int, keys: list[int]) -> None:
    assert retired_by(view(wanted=3, children=children(3)), wanted) == keys


def test_idle_ones_go_before_busy_ones() -> None:
    there = [ChildView(1, 1, 1), ChildView(2, 2, 1, busy=True), ChildView(3, 3, 1, busy=True)]
    assert retired_by(view(wanted=3, children=there), 1) == [1, 3]


def test_who_leaves_anyhow_is_not_counted() -> None:
    there = [*children(2), ChildView(1, 3, 1, leaving=True), ChildView(2, 4, 1, spent=True)]
    assert retired_by(view(wanted=2, children=there), 1) == [102]
    assert retired_by(view(wanted=2, children=there), 2) == []


def test_a_generation_on_trial_is_left_alone() -> None:
    there = [*children(2), *children(1, generation=2, start=3)]
    reloading = view(wanted=2, incoming=2, templates={1: True, 2: True}, children=there)
    assert retired_by(reloading, 1) == [102]
