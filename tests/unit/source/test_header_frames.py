"""Header frames of AMQP: one that cannot be read does not end the link, and keeps its bytes."""

from __future__ import annotations

import struct
from datetime import datetime
from typing import Any

import pytest
from amqp.basic_message import Message
from amqp.serialization import decode_properties_basic

from workerd.source.amqp.header_frames import MOST_DEPTH, UNREAD, tolerant, unread

FIXED = struct.pack(">HHQ", 60, 0, 5)


class Connection:
    """Reads header frames as py-amqp does, up to the first that it cannot read."""

    def __init__(self) -> None:
        self.read: list[dict[str, Any]] = []

    def on_frame(self, frame: tuple[int, int, bytes]) -> str:
        kind, _, content = frame
        if kind == 2:
            self.read.append(decode_properties_basic(content, len(FIXED))[0])
        return "read"


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = {"x": value}
    return value


def properties(**fields: Any) -> bytes:
    written: bytes = Message(b"", **fields)._serialize_properties()
    return written


class Far(datetime):
    def utctimetuple(self) -> Any:
        return (1970, 1, 1, 10**15, 0, 0)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (properties(content_type=b"\xff\xfe"), "UnicodeDecodeError"),
        (properties(application_headers={"when": Far(2020, 1, 1)}), "Error: "),
        (properties(application_headers={"deep": nested(MOST_DEPTH + 1)}), "nested too deeply"),
        (struct.pack(">HI", 1 << 13, 6) + b"\x01x?" + b"abc", "FrameSyntaxError"),
        (struct.pack(">HI", 1 << 13, 600), "error: "),
    ],
)
def test_what_cannot_be_read_comes_without_its_properties(content: bytes, why: str) -> None:
    connection = Connection()
    on_frame = tolerant(connection.on_frame)
    assert on_frame((2, 1, FIXED + content)) == "read"
    headers = connection.read[-1]["application_headers"]
    kept = headers[UNREAD]
    assert (kept.encode() if isinstance(kept, str) else kept) == content
    assert why in unread(headers)


@pytest.mark.parametrize("fields", [{}, {"application_headers": {"deep": nested(90), "big": "x" * 5000}}])
def test_what_can_be_read_is_left_as_it_is(fields: dict[str, Any]) -> None:
    connection = Connection()
    tolerant(connection.on_frame)((2, 1, FIXED + properties(content_type="x", **fields)))
    assert connection.read == [{"content_type": "x", **fields}]
    assert not unread(fields.get("application_headers", {}))


def test_an_error_of_another_kind_is_not_hidden() -> None:
    def fails(_: object) -> None:
        raise KeyError("ours")

    for kind in (1, 2, 3):
        with pytest.raises(KeyError):
            tolerant(fails)((kind, 1, FIXED + properties(content_type="x")))
