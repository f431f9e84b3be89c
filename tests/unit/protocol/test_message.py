"""Reading task messages in the supervisor: every captured one, and everything that is none."""

from __future__ import annotations

import contextlib
import json
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.protocol.wire_vectors import Captured, task_messages, vector
from workerd.protocol.incoming import open_payload
from workerd.protocol.message import (
    MalformedError,
    Message,
    message_from_amqp,
    message_from_redis,
)
from workerd.protocol.rewriting import mark_redelivered

MESSAGES = task_messages()
VERSION_2 = [one for one in MESSAGES if "task" in one.headers]
VERSION_1 = [one for one in MESSAGES if "task" not in one.headers]

HEADERS: dict[str, Any] = {"task": "proj.add", "id": "1"}
PROPERTIES: dict[str, Any] = {"delivery_tag": "t", "body_encoding": "base64"}


def envelope(**changes: Any) -> bytes:
    parts = {"body": "W10=", "headers": HEADERS, "properties": PROPERTIES, **changes}
    return json.dumps({key.replace("_", "-"): value for key, value in parts.items()}).encode()


def headers(**changes: Any) -> bytes:
    return envelope(headers={**HEADERS, **changes})


def unix(text: str | None) -> float | None:
    return None if text is None else datetime.fromisoformat(text).timestamp()


@pytest.mark.parametrize("captured", VERSION_2, ids=lambda one: one.name)
def test_every_captured_message_is_read_field_by_field(captured: Captured) -> None:
    message = message_from_redis(captured.raw)
    sent, properties = captured.headers, captured.properties
    same = ["id", "task", "shadow", "retries", "root_id", "parent_id", "group", "argsrepr", "kwargsrepr"]
    same += ["origin", "ignore_result", "replaced_task_nesting"]
    assert {name: getattr(message, name) for name in same} == {name: sent[name] for name in same}
    assert message.protocol == 2
    assert list(message.timelimit) == sent["timelimit"]
    assert (message.correlation_id, message.reply_to) == (
        properties["correlation_id"],
        properties["reply_to"],
    )
    assert message.publisher_tag == properties["delivery_tag"]
    assert message.priority == properties["priority"]
    assert message.exchange == properties["delivery_info"]["exchange"]
    assert message.routing_key == properties["delivery_info"]["routing_key"]
    assert message.content_type == captured.content_type
    assert message.redelivered == bool(sent.get("redelivered"))
    assert message.payload == captured.raw
    assert message.deaths == 0


@pytest.mark.parametrize("captured", VERSION_2, ids=lambda one: one.name)
def test_times_are_unix_times_and_naive_ones_are_utc(captured: Captured) -> None:
    message = message_from_redis(captured.raw)
    for name in ("eta", "expires"):
        text = captured.headers[name]
        if text is not None and "+" not in text:
            text += "+00:00"
        assert getattr(message, name) == unix(text)


@pytest.mark.parametrize("captured", VERSION_1, ids=lambda one: one.name)
def test_protocol_1_is_read_from_the_body(captured: Captured) -> None:
    message = message_from_redis(captured.raw)
    body = captured.body
    assert (message.protocol, message.id, message.task) == (1, body["id"], body["task"])
    assert (message.eta, message.expires) == (unix(body["eta"]), unix(body["expires"]))
    assert list(message.timelimit) == body["timelimit"]
    assert message.retries == body["retries"]


def test_both_captured_amqp_messages_are_read() -> None:
    for captured in vector("amqp-task-message")["messages"]:
        info, properties = captured["delivery_info"], captured["properties"]
        message = message_from_amqp(
            properties,
            captured["headers"],
            captured["body_bytes"].encode(),
            exchange=info["exchange"],
            routing_key=info["routing_key"],
            redelivered=info["redelivered"],
        )
        assert (message.id, message.task) == (captured["headers"]["id"], "capapp.add")
        assert message.priority == properties["priority"]
        assert message.eta == unix(captured["headers"]["eta"])
        assert message.expires == unix(captured["headers"]["expires"])
        assert (message.exchange, message.routing_key, message.publisher_tag) == ("", "celery", "")
        assert (message.reply_to, message.redelivered) == (properties["reply_to"], False)


def test_headers_that_only_some_clients_send_have_defaults() -> None:
    message = message_from_redis(envelope())
    assert message == Message(
        id="1",
        task="proj.add",
        protocol=2,
        payload=envelope(),
        content_type="application/json",
        publisher_tag="t",
    )


def test_nulls_are_as_good_as_absence() -> None:
    raw = headers(retries=None, timelimit=None, argsrepr=None, replaced_task_nesting=None, eta="")
    assert message_from_redis(raw).retries == 0
    assert message_from_redis(raw).timelimit == (None, None)


def test_the_count_of_deaths_travels_in_a_header() -> None:
    assert message_from_redis(headers(**{"x-workerd-deaths": 2})).deaths == 2


MALFORMED = {
    "nothing": b"",
    "no JSON": b"\x80\x04}",
    "half a text": b'{"body": "',
    "a list": b"[]",
    "a text": b'"x"',
    "bad utf-8": b'{"body":"\xff","headers":{},"properties":{}}',
    "deep nesting": b'{"x":' * 100_000,
    "no body": b'{"headers":{"task":"a","id":"b"},"properties":{}}',
    "no headers": b'{"body":"","properties":{}}',
    "no properties": b'{"body":"","headers":{"task":"a","id":"b"}}',
    "a body that is no text": envelope(body={"a": 1}),
    "headers that are no object": envelope(headers=[]),
    "a task that is no text": headers(task=3),
    "an empty task": headers(task=""),
    "an id that is no text": headers(id=3),
    "an id that is null": headers(id=None),
    "an eta that is no time": headers(eta="soon"),
    "an eta that is a number": headers(eta=17.5),
    "an eta beyond the calendar": headers(eta="99999-01-01T00:00:00"),
    "an expiry that is no time": headers(expires="2026-13-01T00:00:00"),
    "retries that are a text": headers(retries="many"),
    "a limit that is a text": headers(timelimit=["long", None]),
    "one limit": headers(timelimit=[1]),
    "a priority that is a text": envelope(properties={"priority": "high"}),
    "no task and a body that is no base64": envelope(headers={}, body="%%"),
    "no task and a body that is no call": envelope(headers={}),
    "no task and a pickle": envelope(headers={}, content_type="application/x-python-serialize"),
    "no task and a compressed body": envelope(headers={"compression": "application/x-gzip"}),
}


@pytest.mark.parametrize("raw", MALFORMED.values(), ids=MALFORMED.keys())
def test_what_is_no_task_message_is_malformed_with_a_reason(raw: bytes) -> None:
    with pytest.raises(MalformedError) as caught:
        message_from_redis(raw)
    assert len(str(caught.value)) > 10


LENIENT: dict[str, tuple[dict[str, Any], str, Any]] = {
    "half a surrogate pair": ({"argsrepr": "('caf\udce9',)"}, "argsrepr", "('caf\\udce9',)"),
    "a header that is no number": ({"tenant": [float("nan"), float("inf")]}, "retries", 0),
    "limits without end": ({"timelimit": [float("inf"), float("nan")]}, "timelimit", (None, None)),
    "limits as texts": ({"timelimit": ["5", 3]}, "timelimit", (5.0, 3.0)),
    "retries below zero": ({"retries": -1}, "retries", 0),
    "retries without end": ({"retries": 2**40}, "retries", 2**31 - 1),
    "retries as a text": ({"retries": "2"}, "retries", 2),
    "a flag as a number": ({"ignore_result": 1}, "ignore_result", True),
    "a group that is a number": ({"group": 5}, "group", "5"),
    "a root that is a number": ({"root_id": 5}, "root_id", "5"),
    "a shadow that is a number": ({"shadow": 7}, "shadow", "7"),
}


@pytest.mark.parametrize(("changes", "field", "value"), LENIENT.values(), ids=LENIENT.keys())
def test_what_stock_clients_send_beside_the_letter_is_read(
    changes: dict[str, Any], field: str, value: Any
) -> None:
    raw = envelope(headers={**HEADERS, **changes})
    amqp = message_from_amqp(
        {"content_type": "application/json"},
        {**HEADERS, **changes},
        b"[[], {}, {}]",
        exchange="",
        routing_key="q",
        redelivered=False,
    )
    redelivered = message_from_redis(mark_redelivered(raw))
    for message in (message_from_redis(raw), amqp, redelivered):
        assert getattr(message, field) == value
        opened = open_payload(message.payload)
        if field in opened.headers:
            assert opened.headers[field] == (list(value) if field == "timelimit" else value)
    assert redelivered.redelivered


@pytest.mark.parametrize(("sent", "read"), [(-1, 0), (5.0, 5), ("5", 5), (300, 255), (None, 0)])
def test_a_priority_is_read_in_every_spelling(sent: Any, read: int) -> None:
    message = message_from_redis(envelope(properties={"priority": sent, "body_encoding": "base64"}))
    assert message.priority == read
    assert open_payload(message.payload).properties["priority"] in (read, sent)


def test_naive_times_are_in_the_zone_that_is_given() -> None:
    raw = headers(eta="2030-01-01T12:00:00", expires="2030-01-01T12:00:00+00:00")
    utc, tokyo = message_from_redis(raw), message_from_redis(raw, ZoneInfo("Asia/Tokyo"))
    assert utc.eta is not None and tokyo.eta is not None
    assert utc.eta - tokyo.eta == 9 * 3600
    assert utc.expires == tokyo.expires == utc.eta


def test_an_id_that_is_missing_is_named_in_the_reason() -> None:
    with pytest.raises(MalformedError, match="id is missing"):
        message_from_redis(envelope(headers={"task": "a"}))


def test_a_wrong_header_of_an_amqp_message_is_malformed() -> None:
    with pytest.raises(MalformedError, match="headers"):
        message_from_amqp({}, {"task": "a", "id": 1}, b"", exchange="", routing_key="q", redelivered=False)
    with pytest.raises(MalformedError, match="properties"):
        message_from_amqp({"priority": "x"}, HEADERS, b"", exchange="", routing_key="q", redelivered=False)


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_else(raw: bytes) -> None:
    with pytest.raises(MalformedError):
        message_from_redis(raw)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from([*sorted(MESSAGES[0].headers), "eta", "timelimit", "x-workerd-deaths"]), JSON)
def test_any_value_in_any_header_is_read_or_malformed(name: str, value: Any) -> None:
    with contextlib.suppress(MalformedError):
        message_from_redis(envelope(headers={**HEADERS, name: value}))


def test_marking_a_message_keeps_all_else_byte_for_byte() -> None:
    raw = headers(big=12345678901234567890123, text="\u00e9", list=[]).replace(
        b'"list": []', b'"list": [1e3]'
    )
    marked = mark_redelivered(raw)
    assert b'"big":12345678901234567890123' in marked
    assert b"[1e3]" in marked
    assert message_from_redis(marked).redelivered
    before, after = json.loads(raw), json.loads(marked)
    before["headers"]["redelivered"] = True
    before["properties"]["delivery_info"] = {"redelivered": True}
    assert after == before


@pytest.mark.parametrize("captured", MESSAGES, ids=lambda one: one.name)
def test_marking_does_what_celery_does_at_a_restore(captured: Captured) -> None:
    marked = json.loads(mark_redelivered(captured.raw))
    assert marked["headers"] == {**captured.headers, "redelivered": True}
    assert marked["properties"]["delivery_info"]["redelivered"] is True
    assert mark_redelivered(mark_redelivered(captured.raw)) == mark_redelivered(captured.raw)


def test_marking_what_is_no_envelope_is_malformed() -> None:
    for raw in (b"", b"[]", b'{"headers": 1}', b'{"headers": {}}'):
        with pytest.raises(MalformedError):
            mark_redelivered(raw)
