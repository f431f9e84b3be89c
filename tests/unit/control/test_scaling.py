from __future__ import annotations

import pytest

from workerd.control.scaling import scaled
from workerd.errors import UsageError


@pytest.mark.parametrize(
    ("spec", "bounds"),
    [("8", (8, 8)), ("2-8", (2, 8)), ("+2", (4, 7)), ("-1", (1, 4)), ("-9", (1, 1)), (" 3 ", (3, 3))],
)
def test_a_spec_makes_new_bounds(spec: str, bounds: tuple[int, int]) -> None:
    assert scaled((2, 5), spec) == bounds


@pytest.mark.parametrize("spec", ["", "x", "0", "8-2", "+2-4", "1.5", "999999"])
def test_a_spec_that_cannot_hold_is_an_error(spec: str) -> None:
    with pytest.raises(UsageError):
        scaled((2, 5), spec)


@pytest.mark.parametrize(("spec", "slots"), [("99999", 99999), ("2-1001", 1001), ("+996", 1001)])
def test_more_slots_than_a_pool_can_have_are_refused(spec: str, slots: int) -> None:
    with pytest.raises(UsageError) as caught:
        scaled((2, 5), spec)
    assert str(caught.value) == f"size '{spec}' makes {slots} slots; a pool has at most 1000"


@pytest.mark.parametrize(("spec", "bounds"), [("1000", (1000, 1000)), ("+995", (997, 1000))])
def test_the_most_slots_a_pool_can_have(spec: str, bounds: tuple[int, int]) -> None:
    assert scaled((2, 5), spec) == bounds
