"""The short way through an AMQP message that is in its exact form tells the same as the long way."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest

from workerd.protocol import incoming
from workerd.protocol.envelope import Headers, MalformedError, Properties
from workerd.protocol.incoming import open_payload
from workerd.protocol.message import AmqpPayload, encode_payload

VALUES = [
    *(None, True, 0, 1, -1, 255, 256, 2**31, 2**40, 1.0, 1.5, math.inf, -math.inf),
    *(
        "",
        "x",
        "1",
        b"x",
        [],
        [1.0, 2.0],
        [None, 1.5],
        [math.inf, 1.0],
        [1.0, math.inf],
        [1.0, -math.inf],
        [math.nan, 1.0],
        ["1", None],
    ),
    *({}, {"exchange": "e"}, {"routing_key": 1}),
]
NAMES = [
    *(("headers", field.encode_name) for field in msgspec.structs.fields(Headers)),
    *(("properties", field.encode_name) for field in msgspec.structs.fields(Properties)),
]


def read(part: str, name: str, value: Any) -> str:
    """What is found, or what is wrong; as text, since an infinite limit is equal to itself alone."""
    parts: dict[str, dict[str, Any]] = {"headers": {"task": "t", "id": "i"}, "properties": {}}
    parts[part] |= {name: value}
    payload = encode_payload(AmqpPayload(parts["properties"], parts["headers"], b"[]", "", "q", False))
    try:
        # No limits and two limits that are none mean the same.
        return repr(open_payload(payload)).replace("'timelimit': None", "'timelimit': [None, None]")
    except MalformedError as exc:
        return f"malformed: {exc}"


@pytest.mark.parametrize(("part", "name"), NAMES)
def test_any_value_of_any_field_is_read_alike(part: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    short = [read(part, name, value) for value in VALUES]
    monkeypatch.setattr(incoming, "_is_exact_amqp", lambda _: False)
    assert short == [read(part, name, value) for value in VALUES]


def test_a_usual_message_goes_the_short_way(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any) -> Any:
        raise AssertionError("the long way")

    monkeypatch.setattr(incoming, "_canonical", never)
    assert "timelimit" in read("headers", "timelimit", [None, 3.5])
