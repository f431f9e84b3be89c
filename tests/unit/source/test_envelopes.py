"""Entries of the in-flight store are made and read byte for byte."""

from __future__ import annotations

import base64
import json

from hypothesis import given
from hypothesis import strategies as st

from workerd.source.redis.envelopes import dead_entry, delivery_of, returning, split_entry, tail_of
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


def test_a_dead_entry_keeps_the_bytes() -> None:
    entry = json.loads(dead_entry(delivery_of("t", "q", b"\xff{"), "why", 5.0))
    assert base64.b64decode(entry.pop("raw")) == b"\xff{"
    assert entry == {"reason": "why", "queue": "q", "time": 5.0, "tag": "t"}
