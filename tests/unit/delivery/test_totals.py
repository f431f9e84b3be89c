"""Counts for status."""

from __future__ import annotations

import pytest

from workerd.delivery.totals import Totals


@pytest.mark.parametrize(
    ("state", "name"),
    [
        ("SUCCESS", "succeeded"),
        ("FAILURE", "failed"),
        ("RETRY", "retried"),
        ("IGNORED", "ignored"),
        ("REJECTED", "rejected"),
        ("INTERNAL", "failed"),
    ],
)
def test_a_run_is_counted_once_by_the_state_it_ended_in(state: str, name: str) -> None:
    totals = Totals()
    totals.count(state)
    totals.count(state)

    assert {key: count for key, count in totals.as_dict().items() if count} == {name: 2}
