"""Opening a payload in the child: arguments, serializers, compression, and what is refused."""

from __future__ import annotations

import base64
import bz2
import json
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from kombu.exceptions import ContentDisallowed, DecodeError

from tests.unit.protocol.wire_vectors import Captured, task_messages, vector
from workerd.protocol.exceptions import InvalidTaskError
from workerd.protocol.incoming import open_payload, waits_for
from workerd.protocol.message import MalformedError, message_from_amqp, message_from_redis

READABLE = ("application/json", "application/x-msgpack", "application/x-python-serialize")
MESSAGES = [one for one in task_messages() if one.content_type in READABLE]


def payload(body: Any, *, raw: bytes | None = None, **headers: Any) -> bytes:
    data = json.dumps(body).encode() if raw is None else raw
    parts = {
        "body": base64.b64encode(data).decode(),
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": {"task": "proj.add", "id": "1", **headers},
        "properties": {"body_encoding": "base64", "delivery_info": {"exchange": "", "routing_key": "celery"}},
    }
    return json.dumps(parts).encode()


@pytest.mark.parametrize("captured", MESSAGES, ids=lambda one: one.name)
def test_every_captured_body_is_opened(captured: Captured) -> None:
    incoming = open_payload(message_from_redis(captured.raw).payload)
    args, kwargs, embed = incoming.load(accept=("json", "msgpack", "pickle"))
    assert set(embed) >= {"callbacks", "errbacks", "chain", "chord"}
    if isinstance(captured.body, list) and "json-types" not in captured.name:
        assert [args, kwargs, embed] == [list(captured.body[0]), captured.body[1], captured.body[2]]
    if isinstance(captured.body, dict):
        assert (args, kwargs) == (captured.body["args"], captured.body["kwargs"])
        assert incoming.headers["id"] == incoming.headers["root_id"] == captured.body["id"]


def test_kombus_tagged_types_come_out_as_themselves() -> None:
    raw = vector("task-v2-json-types")["raw_envelope"].encode()
    args, _, _ = open_payload(message_from_redis(raw).payload).load()
    assert args == [
        datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        date(2026, 1, 2),
        time(3, 4, 5),
        Decimal("1.50"),
        UUID("11111111-1111-4111-8111-111111111111"),
        b"abc",
        b"\xff\x00",
    ]


def test_an_amqp_message_is_opened_from_its_payload() -> None:
    captured = vector("amqp-task-message")["messages"][1]
    message = message_from_amqp(
        captured["properties"],
        captured["headers"],
        captured["body_bytes"].encode(),
        exchange="",
        routing_key="celery",
        redelivered=True,
    )
    incoming = open_payload(message.payload)
    assert incoming.load()[0] == [2, 3]
    assert incoming.headers == captured["headers"]
    assert (incoming.routing_key, incoming.redelivered) == ("celery", True)
    assert incoming.properties["priority"] == 4


def test_an_odd_value_in_an_amqp_header_is_carried_as_text() -> None:
    headers = {"task": "a", "id": "1", "when": datetime(2026, 1, 1, tzinfo=UTC), "price": Decimal("1.5")}
    message = message_from_amqp({}, headers, b"[[],{},{}]", exchange="", routing_key="q", redelivered=False)
    assert open_payload(message.payload).custom_headers()["price"] == "1.5"


def test_custom_headers_are_those_without_a_meaning() -> None:
    raw = vector("task-v2-shadow-headers")["raw_envelope"].encode()
    assert open_payload(raw).custom_headers() == {"tenant": "acme"}


def test_a_serializer_that_is_not_accepted_is_refused() -> None:
    for name in ("task-v2-pickle", "task-v2-msgpack", "task-v2-yaml"):
        raw = vector(name)["raw_envelope"].encode()
        with pytest.raises(ContentDisallowed):
            open_payload(raw).load(accept=("json",))


BAD_CALLS = {
    "a body that is a text": ("x", "body is not"),
    "a body of two": ([[], {}], "body is not"),
    "embed that is no object": ([[], {}, True], "embed"),
    "args that are an object": ([{}, {}, {}], "args"),
    "kwargs that are a list": ([[], [], {}], "kwargs"),
    "protocol 1 without a task": ({"args": [], "kwargs": []}, "kwargs"),
}


@pytest.mark.parametrize(("body", "reason"), BAD_CALLS.values(), ids=BAD_CALLS.keys())
def test_a_body_that_is_no_call_is_an_invalid_task(body: Any, reason: str) -> None:
    with pytest.raises(InvalidTaskError, match=reason):
        open_payload(payload(body)).load()


def test_nobody_waits_for_a_call_that_cannot_be_read() -> None:
    for body in ([[], {}, True], [[], {}, None], "x", {"args": []}):
        assert not waits_for(payload(body))
    assert waits_for(payload([[], {}, {"chain": [{"task": "t"}]}]))


def test_a_protocol_1_body_under_a_task_header_is_read() -> None:
    args, kwargs, _ = open_payload(payload({"args": [1], "kwargs": {"a": 2}, "retries": 3})).load()
    assert (args, kwargs) == ([1], {"a": 2})


def test_bodies_that_cannot_be_decoded_are_decode_errors() -> None:
    for raw in (payload(None, raw=b"["), payload([], compression="bzip2"), payload(None, raw=b"[" * 100_000)):
        with pytest.raises(DecodeError):
            open_payload(raw).load()


def test_an_unknown_compression_is_a_decode_error() -> None:
    with pytest.raises(DecodeError, match="x-strange"):
        open_payload(payload(None, raw=bz2.compress(b"[]"), compression="application/x-strange")).load()


def test_bytes_that_are_no_payload_are_malformed() -> None:
    for raw in (b"", b"{", b"[]", b"\x93", b"\xff\xff", b'{"headers":{},"properties":{}}'):
        with pytest.raises(MalformedError):
            open_payload(raw)
    with pytest.raises(MalformedError, match="base64"):
        open_payload(payload([]).replace(b'"body": "', b'"body": "%%'))
