"""Short reprs, compared with Celery's for everything that is not cut inside a container."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from celery.utils.saferepr import saferepr
from hypothesis import given
from hypothesis import strategies as st

from workerd.protocol.brief import brief, cut

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.decimals(),
    lambda inner: st.lists(inner) | st.tuples(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(PLAIN)
def test_it_is_what_celery_writes(value: Any) -> None:
    if len(saferepr(value, maxlen=100_000)) < 1000:
        assert brief(value) == saferepr(value, maxlen=1024, maxlevels=3)


@pytest.mark.parametrize(
    "value",
    [
        (b"abc", b"\xff\x00"),
        ({1},),
        (frozenset({2}),),
        (set(), [], (), {}),
        (date(2026, 1, 2), Decimal("1.50")),
    ],
)
def test_other_types_are_as_celery_writes_them(value: Any) -> None:
    assert brief(value) == saferepr(value, maxlen=1024, maxlevels=3)


@pytest.mark.parametrize("size", [10, 1000, 1021, 1024, 5000])
def test_a_long_text_is_cut_where_celery_cuts_it(size: int) -> None:
    for text in ("a" * size, "word " * size):
        assert brief((text,)) == saferepr((text,), maxlen=1024, maxlevels=3)


def test_deep_containers_are_dots() -> None:
    assert brief(([[[[1]]]],)) == "([[[...]]],)"
    assert brief({"a": {"b": {"c": {}}}}, levels=1) == "{'a': {...}}"


def test_a_long_container_ends_in_dots_and_its_brackets() -> None:
    shown = brief((list(range(1000)),), limit=50)
    assert shown.endswith(", ...],)")
    assert len(shown) < 70


def test_a_container_in_itself_ends() -> None:
    value: list[Any] = [1]
    value.append(value)
    assert brief(value) == "[1, [...]]"


def test_an_object_whose_repr_raises_is_shown_by_its_class() -> None:
    class Broken:
        def __repr__(self) -> str:
            raise ValueError("no")

    assert brief((Broken(),)) == "(<Broken whose repr raises ValueError>,)"


def test_cut_leaves_short_texts_alone() -> None:
    assert (cut("abc", 3), cut("abcdef", 5), cut("abc", 0)) == ("abc", "ab...", "...")


@given(st.lists(st.text(max_size=600) | st.integers() | st.floats() | st.booleans() | st.none(), max_size=5))
def test_a_tuple_is_shown_as_a_list_but_for_its_brackets(items: list[Any]) -> None:
    shown, comma = brief(items)[1:-1], "," if len(items) == 1 else ""
    assert brief(tuple(items)) == f"({shown}{comma})"
