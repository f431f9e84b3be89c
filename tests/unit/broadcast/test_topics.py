"""Channels and envelopes of Redis' fanout exchanges, as kombu has them."""

from __future__ import annotations

import json

import pytest

from tests.unit.protocol.wire_vectors import vector
from workerd.broadcast.base import Notice
from workerd.broadcast.topics import Topics, envelope_of, heard_of
from workerd.protocol.envelope import MalformedError


@pytest.mark.parametrize(
    ("options", "channel", "pattern"),
    [
        ({}, "/0.celeryev/task.multi", "/0.celeryev/worker.*"),
        ({"global_keyprefix": "app:"}, "app:/0.celeryev/task.multi", "app:/0.celeryev/worker.*"),
        ({"fanout_prefix": "/x{db}."}, "/x0.celeryev/task.multi", "/x0.celeryev/worker.*"),
        ({"fanout_prefix": False}, "celeryev/task.multi", "celeryev/worker.*"),
        ({"fanout_patterns": False}, "/0.celeryev", "/0.celeryev"),
    ],
)
def test_channels_are_named_as_the_transport_options_say(
    options: dict[str, object], channel: str, pattern: str
) -> None:
    topics = Topics.of_options(options, 0)
    assert topics.channel("celeryev", "task.multi") == channel
    assert topics.pattern("celeryev", "worker.#") == pattern


def test_an_exchange_without_a_key_is_a_channel_of_its_own() -> None:
    assert Topics.of_options({}, 3).channel("celery.pidbox", "") == "/3.celery.pidbox"


def test_a_captured_request_is_read() -> None:
    captured = vector("control-request-ping")
    heard = heard_of(captured["raw_envelope"].encode())
    assert (heard.key, heard.headers) == ("", captured["headers"])
    assert heard.value(["json"]) == captured["body"]


def test_what_is_written_has_the_fields_of_a_captured_answer() -> None:
    captured = vector("control-reply-ping")
    theirs = json.loads(captured["raw_envelope"])
    info = theirs["properties"]["delivery_info"]
    body = captured["body_bytes"].encode()
    ours = json.loads(envelope_of(Notice(info["exchange"], info["routing_key"], body, captured["headers"])))
    theirs["properties"].pop("delivery_tag")
    assert ours["properties"].pop("delivery_tag")
    assert ours == theirs


@pytest.mark.parametrize(
    "raw", [b"", b"{}", b"[1]", b'{"body": "!", "properties": {"body_encoding": "base64"}}', b"\xff"]
)
def test_what_is_no_envelope_is_malformed(raw: bytes) -> None:
    with pytest.raises(MalformedError):
        heard_of(raw)
