"""What we write, next to what Celery wrote for the same call, field by field."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from kombu.serialization import dumps

from tests.unit.protocol.wire_vectors import Captured, task_messages
from workerd.protocol.outgoing import Draft, new_id, origin, reply_address

# Bodies and reprs of these were made from arguments that JSON does not carry.
MESSAGES = [
    one
    for one in task_messages()
    if "task" in one.headers and isinstance(one.body, list) and "json-types" not in one.name
]
STANDARD = set(Draft(id="", task="").wire_headers())
# Added on the way by the transport or the compressor.
ON_THE_WAY = {"compression", "redelivered"}


def draft_of(captured: Captured) -> Draft:
    headers, (args, kwargs, embed) = captured.headers, captured.body
    plain = {name: headers[name] for name in STANDARD - {"lang", "argsrepr", "kwargsrepr", "origin"}}
    custom = {name: headers[name] for name in headers if name not in STANDARD | ON_THE_WAY}
    return Draft(**plain, args=args, kwargs=kwargs, **embed, headers=custom)


@pytest.mark.parametrize("captured", MESSAGES, ids=lambda one: one.name)
def test_headers_are_the_same_and_in_the_same_order(captured: Captured) -> None:
    written = draft_of(captured).wire_headers()
    expected = {name: value for name, value in captured.headers.items() if name not in ON_THE_WAY}
    assert written.pop("origin") == origin()
    expected.pop("origin")
    assert written == expected
    assert list(written) == list(expected)


@pytest.mark.parametrize("captured", MESSAGES, ids=lambda one: one.name)
def test_bodies_are_the_same(captured: Captured) -> None:
    written = dumps(draft_of(captured).wire_body(), serializer="json")[2]
    assert json.loads(written) == captured.body
    assert list(json.loads(written)[2]) == list(captured.body[2])


@pytest.mark.parametrize("captured", MESSAGES, ids=lambda one: one.name)
def test_properties_are_the_same(captured: Captured) -> None:
    draft = draft_of(captured)
    draft.reply_to = captured.properties["reply_to"]
    if expiration := captured.properties.get("expiration"):
        draft.lifetime = int(expiration) / 1000
    written = draft.wire_properties()
    if "expiration" in written:
        written["expiration"] = str(int(written["expiration"] * 1000))
    assert written == {name: captured.properties[name] for name in written}


def test_a_call_without_a_root_is_its_own_root() -> None:
    assert Draft(id="a", task="t").wire_headers()["root_id"] == "a"


def test_a_past_expiry_is_no_negative_lifetime() -> None:
    assert Draft(id="a", task="t", lifetime=-3.0).wire_properties()["expiration"] == 0.0


def test_the_reply_address_is_this_threads_own() -> None:
    import threading

    other: list[Any] = []
    thread = threading.Thread(target=lambda: other.append(reply_address()))
    thread.start()
    thread.join()
    assert reply_address() == reply_address() != other[0]
    assert uuid.UUID(reply_address()).version == 3


def test_an_id_is_a_random_uuid_as_text() -> None:
    ids = {new_id() for _ in range(1000)}
    assert len(ids) == 1000
    for text in ids:
        parsed = uuid.UUID(text)
        assert (parsed.version, parsed.variant, str(parsed)) == (4, uuid.RFC_4122, text)
