"""How often Python looks for garbage, while a process loads and after it."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from workerd_pool.collector import LOADING, loading


@pytest.fixture(autouse=True)
def collector() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)


def test_after_loading_it_is_as_it_was_before() -> None:
    gc.set_threshold(321, 4, 5)

    with loading():
        assert gc.get_threshold() == (LOADING, 4, 5)

    assert gc.get_threshold() == (321, 4, 5)


def test_it_is_as_it_was_also_after_a_failure() -> None:
    before = gc.get_threshold()

    with pytest.raises(ImportError), loading():
        raise ImportError("no app")

    assert gc.get_threshold() == before


def test_an_app_that_sets_it_has_its_way() -> None:
    with loading():
        gc.set_threshold(50_000, 20, 20)

    assert gc.get_threshold() == (50_000, 20, 20)
