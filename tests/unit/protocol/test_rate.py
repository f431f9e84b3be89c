"""Rates as people write them."""

from __future__ import annotations

import math
from typing import Any

import pytest

from workerd.protocol.rate import parse_rate, rate_text


@pytest.mark.parametrize(
    ("written", "starts"),
    [(None, 0), (0, 0), ("0", 0), (3, 3), (0.5, 0.5), ("5/s", 5), ("10/m", 1 / 6), (" 1.5/h ", 1.5 / 3600)],
)
def test_a_rate_is_starts_for_each_second(written: Any, starts: float) -> None:
    assert parse_rate(written) == pytest.approx(starts)


@pytest.mark.parametrize(
    "written", ["", "ten", "5/d", "-1", "/m", "5 / m", -1, True, math.inf, math.nan, [5]]
)
def test_anything_else_is_none(written: Any) -> None:
    with pytest.raises(ValueError, match=r"rate|write"):
        parse_rate(written)


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("10/m", "10/m"),
        (5, "5/s"),
        ("60/m", "1/s"),
        ("1/h", "1/h"),
        (1 / 3, "20/m"),
        ("0.5/h", "0.5/h"),
        (0, "none"),
    ],
)
def test_it_is_shown_for_the_shortest_time_in_which_something_begins(written: Any, text: str) -> None:
    assert rate_text(parse_rate(written)) == text
