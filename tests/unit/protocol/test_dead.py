"""Dead letters on both brokers: what is put aside can be read, and taken out again as it was."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.protocol.wire_vectors import Captured, task_messages
from workerd.protocol.dead import Letter, entry_of, letter_of, marks_of, open_entry, without_marks
from workerd.protocol.envelope import MalformedError
from workerd.protocol.message import message_from_redis
from workerd.protocol.rewriting import mark_redelivered, sent_anew

LETTER = Letter(reason="why", queue="q", time=5.5, id="abc", node="main@host", deaths=3)
MESSAGES = task_messages()


@given(st.binary())
def test_an_entry_keeps_the_message_byte_for_byte(raw: bytes) -> None:
    assert open_entry(entry_of(LETTER, raw)) == (LETTER, raw)


def test_an_entry_is_plain_json() -> None:
    entry = json.loads(entry_of(LETTER, b"\xff"))
    assert base64.b64decode(entry.pop("raw")) == b"\xff"
    assert entry == {
        "reason": "why",
        "queue": "q",
        "time": 5.5,
        "id": "abc",
        "node": "main@host",
        "deaths": 3,
    }


@pytest.mark.parametrize("entry", [b"", b"[]", b"{}", b'{"raw": "?", "reason": "", "queue": "", "time": 0}'])
def test_what_is_no_entry_is_malformed(entry: bytes) -> None:
    with pytest.raises(MalformedError):
        open_entry(entry)


def test_headers_are_what_they_were_once_the_marks_are_taken_off() -> None:
    headers = {"task": "t", "mine": [1]}
    dead = headers | marks_of(LETTER)
    assert letter_of(dead, "other") == LETTER
    assert without_marks(dead) == headers


def test_a_message_that_somebody_else_put_there_has_a_letter_that_says_so() -> None:
    assert letter_of({"x-workerd-time": 7}, "q") == Letter(
        reason="not put aside by workerd", queue="q", time=7.0
    )


@pytest.mark.parametrize("captured", MESSAGES, ids=lambda one: one.name)
def test_sent_anew_it_is_what_its_publisher_sent_under_another_tag(captured: Captured) -> None:
    dead = mark_redelivered(captured.raw, deaths=2)
    assert message_from_redis(dead).deaths == 2
    before, after = json.loads(dead), json.loads(sent_anew(dead, "new"))
    del before["headers"]["x-workerd-deaths"]
    before["properties"]["delivery_tag"] = "new"
    assert after == before
    assert sent_anew(dead, "new") == sent_anew(sent_anew(dead, "x"), "new")


def test_numbers_that_json_readers_break_stay_as_they_are() -> None:
    raw = b'{"body": "W10=", "headers": {"big": 12345678901234567890123, "f": 1e3}, "properties": {}}'
    assert b'{"big":12345678901234567890123,"f":1e3}' in sent_anew(raw, "t")


def test_what_is_no_envelope_cannot_be_sent_anew() -> None:
    for raw in (b"", b"[]", b'{"headers": 1, "properties": {}}', b'{"headers": [], "properties": []}'):
        with pytest.raises(MalformedError):
            sent_anew(raw, "t")
