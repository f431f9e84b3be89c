"""A message of a known shape is read as any other, to the last byte of what its child gets."""

from __future__ import annotations

import random
import struct
from collections.abc import Mapping
from datetime import UTC
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.source.wire import properties
from workerd.source.amqp.arrival import Arrival
from workerd.source.amqp.habit import FIRST, NEXT
from workerd.source.amqp.reading import Reading
from workerd.source.amqp.shapes import MOST, REST, TRUST, Shapes
from workerd.source.base import Delivery

HEADERS: dict[str, Any] = {
    "lang": "py",
    "task": "proj.add",
    "id": "d0f5c1c6-4d0a-4c6e-9a3b-1f2e3d4c5b6a",
    "shadow": None,
    "eta": None,
    "expires": "2026-11-26T11:00:00+00:00",
    "group": None,
    "retries": 0,
    "timelimit": [None, 3],
    "root_id": "d0f5c1c6-4d0a-4c6e-9a3b-1f2e3d4c5b6a",
    "parent_id": "p",
    "argsrepr": "(1, 2)",
    "kwargsrepr": "{}",
    "origin": "gen1@host",
    "ignore_result": True,
    "stamps": {"deep": ["x", {"er": 2**40}]},
    "mine": "and mine alone",
}
PROPERTIES: dict[str, Any] = {
    "content_type": "application/json",
    "content_encoding": "utf-8",
    "delivery_mode": 2,
    "correlation_id": HEADERS["id"],
    "reply_to": "me",
}
NOT_TEXTS = {"content_type": "application/x", "content_encoding": "latin-1"}


def written(headers: Mapping[str, Any] = HEADERS, **fields: Any) -> bytes:
    return properties(application_headers=dict(headers), **{**PROPERTIES, **fields})


def arrival(written: bytes, body: bytes = b"[[], {}, {}]", *, again: bool = False, key: str = "q") -> Arrival:
    return Arrival(1, ("c", 5, again, "", key), struct.pack(">HHQ", 60, 0, len(body)) + written, body)


def read(reading: Reading, came: Arrival) -> tuple[Any, ...]:
    found: Delivery = reading.delivery("channel", "q", came, 1.5)
    return found.tag, repr(found.message), found.problem, found.raw, found.redelivered


def the_long_way(came: Arrival) -> tuple[Any, ...]:
    """By somebody who has never seen a message before."""
    return read(Reading(UTC), came)


def taught(first: bytes = written()) -> tuple[Reading, Shapes]:
    reading = Reading(UTC)
    read(reading, arrival(first))
    return reading, reading._shapes


def test_messages_of_one_client_are_read_by_their_shape() -> None:
    reading, shapes = taught()
    other = HEADERS | {
        "id": "i",
        "task": "proj.mul",
        "argsrepr": "é" * 300,
        "expires": "2030-01-01",
        "mine": "",
    }
    came = arrival(written(other, correlation_id="i", reply_to=""), b"another body", again=True, key="k")
    assert shapes.read(came) is not None
    assert read(reading, came) == the_long_way(came)


@pytest.mark.parametrize("size", [0, 31, 32, 255, 256, 65_535, 65_536])
def test_texts_and_bodies_of_every_size_are_packed_as_the_long_way_does(size: int) -> None:
    reading, shapes = taught()
    came = arrival(written(HEADERS | {"argsrepr": "x" * size, "mine": "y" * size}), b"z" * size)
    assert shapes.read(came) is not None
    assert read(reading, came) == the_long_way(came)


@pytest.mark.parametrize(
    "changes",
    [
        {"retries": 1},
        {"timelimit": [None, 4]},
        {"parent_id": None},
        {"ignore_result": False},
        {"stamps": {"deep": ["y", {"er": 2**40}]}},
        {"more": "of it"},
        {"id": ""},
        {"task": ""},
        {"expires": "no time"},
        {"eta": "2026-11-26T11:00:00"},
        {"retries": "3"},
        {"compression": "gzip"},
        {"x-workerd-deaths": 2},
        {"redelivered": True},
        {"task": b"\xff\xfe"},
    ],
    ids=str,
)
def test_another_shape_is_not_taken_for_it(changes: dict[str, Any]) -> None:
    reading, shapes = taught()
    came = arrival(written(HEADERS | changes))
    assert shapes.read(came) is None
    for _ in range(2):  # the second time it is known, if it can be
        assert read(reading, came) == the_long_way(came)


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ({"retries": "3"}, {"retries": "4"}),  # a text that is not taken as it is
        ({"x-workerd-deaths": "3"}, {"x-workerd-deaths": "4"}),
        ({"redelivered": True}, {"redelivered": True, "id": "b"}),
    ],
    ids=str,
)
def test_what_is_not_a_plain_text_is_part_of_the_shape(first: dict[str, Any], then: dict[str, Any]) -> None:
    reading, _ = taught(written(HEADERS | first))
    came = arrival(written(HEADERS | then))
    assert read(reading, came) == the_long_way(came)


def test_a_shape_is_nothing_of_one_delivery() -> None:
    reading = Reading(UTC)
    for again, key in ((True, "a"), (False, "b"), (True, "c")):
        came = arrival(written(), key.encode(), again=again, key=key)
        assert read(reading, came) == the_long_way(came)


def test_a_message_of_protocol_1_has_its_name_in_its_body() -> None:
    reading = Reading(UTC)
    for name in ("a", "b"):
        came = arrival(
            written({"lang": "py"}), b'{"task": "%b", "id": "%b"}' % (name.encode(), name.encode())
        )
        assert read(reading, came) == the_long_way(came)
        assert name in read(reading, came)[1]


def test_a_header_that_is_there_twice_counts_as_py_amqp_counts_it() -> None:
    whole = written()
    second = b"\x04mineV"
    at = whole.index(b"\x04mineS")
    [size] = struct.unpack_from(">I", whole, whole.index(b"\x04langS") - 4)
    sizes = struct.pack(">I", size), struct.pack(">I", size + len(second))
    end = whole.index(b"and mine alone", at) + len(b"and mine alone")
    twice = (whole[:end] + second + whole[end:]).replace(*sizes, 1)
    reading, _ = taught(twice)
    came = arrival(twice)
    assert read(reading, came) == the_long_way(came)
    assert "'mine': None" in repr(came.headers)


TEXTS = st.one_of(st.text(max_size=20), st.just("2026-11-26T11:00:00"), st.just("\x06originS\0\0\0\1x"))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**31), 2**31) | st.floats() | TEXTS | st.binary(max_size=9),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)
NAMES = st.sampled_from([*HEADERS, "x-workerd-requeued", "x-workerd-deaths", "compression", "other"])


@given(
    st.dictionaries(NAMES, VALUES, max_size=8),
    st.dictionaries(NAMES, TEXTS, max_size=4),
    st.dictionaries(st.sampled_from([*PROPERTIES, "message_id", "type"]), st.text(max_size=9), max_size=3),
)
def test_whatever_is_learnt_the_result_is_the_same(
    first: dict[str, Any], changes: dict[str, Any], fields: dict[str, Any]
) -> None:
    fields = {name: value for name, value in fields.items() if name != "delivery_mode"}
    reading, _ = taught(written(HEADERS | first, **fields))
    for headers in (HEADERS | first | changes, HEADERS | first):
        came = arrival(written(headers, **fields))
        assert read(reading, came) == the_long_way(came)


@given(st.randoms(use_true_random=False))
def test_bytes_that_are_spoilt_are_never_taken_for_a_known_shape(rng: random.Random) -> None:
    whole = written()
    reading, _ = taught(whole)
    for _ in range(20):
        at, size = rng.randrange(len(whole)), rng.randrange(3)
        bytes_ = bytes(rng.choice([0, 1, 4, 83, 206, rng.randrange(256)]) for _ in range(rng.randrange(3)))
        came = arrival(whole[:at] + bytes_ + whole[at + size :])
        assert read(reading, came) == the_long_way(came)
    for cut in range(0, len(whole), 9):
        came = arrival(whole[:cut])
        assert read(reading, came) == the_long_way(came)


@pytest.mark.parametrize("variety", [1, 2, 3, 4])
def test_whatever_stays_the_same_in_a_row_the_result_is_the_same(variety: int) -> None:
    """More messages than it takes to see what stays, to see that it does not, and to see what does then."""
    reading, rng = Reading(UTC), random.Random(variety)
    for number in range(3 * NEXT):
        texts = {name: f"{name}{rng.randrange(variety)}" for name in ("task", "argsrepr", "origin", "mine")}
        headers = HEADERS | texts | {"id": f"id{number}", "expires": f"20{rng.randrange(26, 30)}-01-01"}
        fields = {"correlation_id": headers["id"], "reply_to": rng.choice(["me", "you"])}
        came = arrival(written(headers, **fields), b"%d" % number, again=not rng.randrange(9))
        assert read(reading, came) == the_long_way(came)


def test_what_a_client_always_says_is_compared_and_not_read() -> None:
    reading, shapes = taught()
    for number in range(FIRST + 1):
        came = arrival(written(HEADERS | {"id": f"{number}"}, correlation_id=f"{number}"))
        assert read(reading, came) == the_long_way(came)
    narrow = shapes._shapes[0]._narrow
    assert narrow is not None
    assert narrow.texts(came) == [b"%d" % number, b"%d" % number]  # its id, twice
    other = arrival(written(HEADERS | {"task": "another"}))
    assert narrow.texts(other) is None
    assert read(reading, other) == the_long_way(other)


def test_many_shapes_in_turn_are_all_read_and_few_are_kept() -> None:
    reading = Reading(UTC)
    for number in range(MOST * 4):
        came = arrival(written(HEADERS | {"retries": number % (MOST + 2)}))
        assert read(reading, came) == the_long_way(came)
    assert len(reading._shapes._shapes) == MOST


def test_where_none_is_like_another_they_are_not_even_compared_for_a_while() -> None:
    reading, shapes = taught()
    usual = arrival(written())
    assert shapes.read(usual) is not None
    for number in range(TRUST):
        came = arrival(written(timestamp=number))
        assert read(reading, came) == the_long_way(came)
    looks = [shapes.read(usual) for _ in range(REST)]
    assert not any(looks)
    read(reading, usual)
    assert shapes.read(usual) is not None
