"""A parcel as the frames of one AMQP publish, byte for byte as py-amqp writes them.

Errors:  those of py-amqp for what no frame can hold (FrameSyntaxError, struct.error).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from amqp.serialization import dumps

from workerd.protocol.parcel import Parcel

METHOD, HEADER, BODY, END = 1, 2, 3, b"\xce"
OVERHEAD = 8
"""Bytes of a frame around what is in it."""

_PUBLISH = struct.pack(">HH", 60, 40)
_CONTENT = struct.Struct(">HHQH")
_FRAME = struct.Struct(">BHI")
_INT = struct.Struct(">ci")

_FLAGS = 0xFE00
"""Content type and encoding, headers, delivery mode, priority, correlation id, reply to: always there."""
_EXPIRATION = 0x0100


def publish_frames(parcel: Parcel, channel: int, frame_max: int) -> list[bytes]:
    """``basic.publish`` of ``parcel``, its header, and its body in frames of at most ``frame_max`` bytes."""
    header, body, size = content_header(parcel), parcel.body, frame_max - OVERHEAD
    if len(header) > size:
        raise struct.error(f"headers of {len(header)} bytes do not fit into a frame of {frame_max}")
    frames = [method_frame(parcel.exchange, parcel.routing_key, channel), _frame(HEADER, channel, header)]
    frames += [_frame(BODY, channel, body[at : at + size]) for at in range(0, len(body), size)]
    return frames


def content_header(parcel: Parcel) -> bytes:
    """What a header frame holds."""
    expiration = parcel.milliseconds
    return b"".join(
        [
            header_start(parcel),
            table(parcel.headers),
            struct.pack("BB", parcel.delivery_mode, parcel.priority),
            short(parcel.correlation_id),
            short(parcel.reply_to),
            b"" if expiration is None else short(expiration),
        ]
    )


def header_start(parcel: Parcel) -> bytes:
    """The same, up to its table of headers."""
    flags = _FLAGS if parcel.expiration is None else _FLAGS | _EXPIRATION
    start = _CONTENT.pack(60, 0, len(parcel.body), flags)
    return start + short(parcel.content_type) + short(parcel.content_encoding)


def table(values: Mapping[str, Any]) -> bytes:
    """``values`` as an AMQP table."""
    parts: list[bytes] = [b""]
    for name, value in values.items():
        parts.append(_key(name))
        _write(value, parts)
    return _sized(parts)


def written(value: Any) -> bytes:
    """``value`` as it stands in a table, with its type."""
    parts: list[bytes] = []
    _write(value, parts)
    return b"".join(parts)


def _write(value: Any, parts: list[bytes]) -> None:
    """Add ``value`` with its type: in a third of py-amqp's time what most headers are, and by it all else."""
    if value is None:
        parts.append(b"V")
    elif (kind := type(value)) is str:
        text = value.encode("utf-8", "surrogatepass")
        parts += (b"S", len(text).to_bytes(4, "big"), text)
    elif kind is int and -0x7FFFFFFF <= value <= 0x7FFFFFFF:
        parts.append(_INT.pack(b"I", value))
    elif kind is bool:
        parts.append(b"t\x01" if value else b"t\x00")
    elif kind is dict:
        parts += (b"F", table(value))
    elif kind is list or kind is tuple:
        items: list[bytes] = [b""]
        for item in value:
            _write(item, items)
        parts += (b"A", _sized(items))
    else:
        parts.append(dumps("A", [[value]])[4:])


def _sized(parts: list[bytes]) -> bytes:
    """All of ``parts`` after their length, for which they begin with an empty one."""
    parts[0] = sum(map(len, parts)).to_bytes(4, "big")
    return b"".join(parts)


@lru_cache(maxsize=256)
def _key(name: str) -> bytes:
    return short(name)


def short(text: str) -> bytes:
    """A text of 255 bytes at most."""
    data = text.encode("utf-8", "surrogatepass")
    return struct.pack("B", len(data)) + data


@lru_cache(maxsize=256)
def method_frame(exchange: str, routing_key: str, channel: int) -> bytes:
    """The frame that begins a publish."""
    return _frame(METHOD, channel, _PUBLISH + dumps("Bssbb", (0, exchange, routing_key, False, False)))


def _frame(kind: int, channel: int, content: bytes) -> bytes:
    return b"".join([_FRAME.pack(kind, channel, len(content)), content, END])
