"""The wait of the tests."""

from __future__ import annotations

import weakref

import pytest

from tests.support.eventually import eventually


def test_the_first_true_value_is_returned() -> None:
    values = iter([0, "", 7])
    assert eventually(lambda: next(values), within=5.0, every=0.0) == 7


def test_an_assertion_inside_the_fact_means_not_yet() -> None:
    values = iter([1, 2, 3])

    def fact() -> bool:
        assert next(values) == 3
        return True

    assert eventually(fact, within=5.0, every=0.0)


def test_giving_up_tells_the_last_value() -> None:
    with pytest.raises(AssertionError, match=r"never was not true within 0 s; the last value was \[\]"):
        eventually(never, within=0.0)


def test_another_error_of_the_fact_goes_up_at_once() -> None:
    with pytest.raises(ZeroDivisionError):
        eventually(lambda: 1 // 0)


def test_what_a_fact_saw_before_it_was_true_is_not_kept_alive() -> None:
    class Seen:
        pass

    def wait(seen: Seen) -> weakref.ref[Seen]:
        values = iter([False, True])

        def fact() -> bool:
            assert next(values), seen
            return True

        eventually(fact, every=0.0)
        return weakref.ref(seen)

    left = wait(Seen())
    assert left() is None


def never() -> list[int]:
    return []
