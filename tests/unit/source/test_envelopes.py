"""Entries of the in-flight store are made and read byte for byte."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from workerd.source.redis.envelopes import delivery_of, returning, split_entry, tail_of
from workerd.source.redis.keys import Keys

QUEUES = st.text(min_size=1) | st.sampled_from([',"",', '"', ',"","x"]', "schlange ü", "a\\b"])


@given(st.binary() | st.sampled_from([b',"","q"]', b"[]", b'"",""']), QUEUES)
def test_an_entry_is_split_into_the_bytes_and_the_queue_that_made_it(raw: bytes, queue: str) -> None:
    entry = b"[" + raw + tail_of(queue).encode()
    assert split_entry(entry) == (raw, queue)


@given(QUEUES)
def test_an_entry_of_a_json_message_is_json(queue: str) -> None:
    assert json.loads('[{"a": [] }' + tail_of(queue)) == [{"a": []}, "", queue]


def test_what_cannot_be_read_is_a_delivery_with_its_problem() -> None:
    delivery = delivery_of("t", "q", b"\xff{")
    assert delivery.message is None
    assert delivery.problem
    assert delivery.raw == b"\xff{"


def test_what_cannot_be_read_is_given_back_as_it_came() -> None:
    assert returning(delivery_of("t", "q", b"\xff{"), Keys()) == ("q", b"\xff{")


def test_what_is_given_back_carries_the_deaths_that_it_has_caused() -> None:
    raw = b'{"body": "W10=", "headers": {"task": "t", "id": "i"}, "properties": {}}'
    delivery = delivery_of("t", "q", raw)
    assert not delivery.counted
    delivery.deaths = 2
    assert delivery.counted
    again = delivery_of("t", "q", returning(delivery, Keys())[1])
    assert again.message is not None
    assert (again.message.deaths, again.message.redelivered) == (2, True)
