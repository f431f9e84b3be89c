"""Frames of a publish and the broker's answers: the same bytes as py-amqp's, however they are cut."""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from amqp import spec
from amqp.basic_message import Message
from amqp.method_framing import frame_writer
from amqp.serialization import dumps
from hypothesis import given
from hypothesis import strategies as st

from workerd.protocol.amqp_confirms import Confirm, is_whole, split_confirms
from workerd.protocol.amqp_content import publish_frames, table
from workerd.protocol.parcel import Parcel

SCALARS = (
    st.none()
    | st.booleans()
    | st.text(max_size=20)
    | st.binary(max_size=20)
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.just(Decimal("1.5"))
    | st.just(datetime(2026, 1, 2, tzinfo=UTC))
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)

PARCEL = Parcel(
    exchange="",
    routing_key="celery",
    content_type="application/json",
    content_encoding="utf-8",
    headers={"task": "t", "id": "é", "eta": None, "retries": 0, "timelimit": [None, 2.5], "stamps": {}},
    correlation_id="an id",
    reply_to="who",
    delivery_mode=2,
    expiration=None,
    priority=3,
    body=b"[[], {}, {}]",
    plain=True,
)


@given(st.dictionaries(st.text(max_size=10), VALUES, max_size=5))
def test_a_table_is_what_py_amqp_writes(values: dict[str, Any]) -> None:
    assert table(values) == dumps("F", [values])


def theirs(parcel: Parcel, frame_max: int) -> bytes:
    """What py-amqp writes for ``parcel`` on channel 7."""
    written: list[bytes] = []
    transport = SimpleNamespace(write=lambda data: written.append(bytes(data)))
    write = frame_writer(SimpleNamespace(frame_max=frame_max, bytes_sent=0), transport)
    properties = {
        "content_type": parcel.content_type,
        "content_encoding": parcel.content_encoding,
        "application_headers": parcel.headers,
        "delivery_mode": parcel.delivery_mode,
        "priority": parcel.priority,
        "correlation_id": parcel.correlation_id,
        "reply_to": parcel.reply_to,
        "expiration": parcel.milliseconds,
    }
    args = dumps("Bssbb", (0, parcel.exchange, parcel.routing_key, False, False))
    write(1, 7, spec.Basic.Publish, args, Message(parcel.body, **properties))
    return b"".join(written)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"expiration": 1.5},
        {"exchange": "media", "routing_key": "a.b"},
        {"body": b""},
        {"body": b"x" * 4088},
        {"body": b"x" * 20_000},
        {"headers": {"deep": {"er": [1, {"x": True}]}, "number": 2**40}},
    ],
    ids=["plain", "expiring", "exchange", "empty", "whole frame", "many frames", "headers"],
)
def test_a_publish_is_what_py_amqp_writes(changes: dict[str, Any]) -> None:
    parcel = msgspec.structs.replace(PARCEL, **changes)
    assert b"".join(publish_frames(parcel, 7, 4096)) == theirs(parcel, 4096)


def test_headers_that_fill_more_than_a_frame_are_an_error() -> None:
    parcel = msgspec.structs.replace(PARCEL, headers={"long": "x" * 5000})
    with pytest.raises(struct.error, match="do not fit"):
        publish_frames(parcel, 7, 4096)


def frame(channel: int, method: tuple[int, int], number: int, multiple: bool = False) -> bytes:
    payload = struct.pack(">HHQB", *method, number, multiple)
    return struct.pack(">BHI", 1, channel, len(payload)) + payload + b"\xce"


HEARTBEAT = struct.pack(">BHI", 8, 0, 0) + b"\xce"
ACK, NACK = (60, 80), (60, 120)


def test_confirms_are_read_wherever_their_bytes_are_cut() -> None:
    told = frame(7, ACK, 1) + frame(7, ACK, 5, multiple=True) + frame(7, NACK, 6)
    for cut in range(len(told) + 1):
        first, rest = split_confirms(told[:cut], 7)
        second, left = split_confirms(rest + told[cut:], 7)
        assert not left
        assert [*first, *second] == [
            Confirm(1, False, False),
            Confirm(5, True, False),
            Confirm(6, False, True),
        ]


@pytest.mark.parametrize("other", [HEARTBEAT, frame(3, ACK, 2), frame(7, (60, 60), 2)])
def test_what_is_no_confirm_of_ours_is_left_in_its_place(other: bytes) -> None:
    found, rest = split_confirms(frame(7, ACK, 1) + other + frame(7, ACK, 2), 7)
    assert found == [Confirm(1, False, False)]
    assert rest == other + frame(7, ACK, 2)
    assert [is_whole(other[:cut]) for cut in range(len(other) + 1)] == [False] * len(other) + [True]
