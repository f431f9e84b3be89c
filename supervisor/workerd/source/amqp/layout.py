"""Where the texts are in the properties of a message, as its header frame has them.

Errors: ValueError, IndexError or struct.error for what is not as AMQP has it.
Source: AMQP 0-9-1, 4.2.5 (tables) and 1.8.2 (properties), with the types that RabbitMQ and py-amqp write.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from workerd.source.amqp.header_frames import FIXED

SHORT, LONG = struct.Struct(">B"), struct.Struct(">I")
"""How the length of a text is written, right before it; that of a table is a LONG."""


class Text(NamedTuple):
    """The bytes from ``start`` to ``end``, whose number is written as ``length``."""

    name: str
    start: int
    end: int
    length: struct.Struct


class Layout(NamedTuple):
    """Of properties that have a table of headers."""

    table: int
    """Where the length of the table is."""
    headers: list[Text]
    """Those on the first level of the table."""
    properties: list[Text]
    """Those behind the table."""


_FLAGS = struct.Struct(">H")
_TABLE, _SHORT = -1, -2
# By their flags, from the highest one on; what is no text and no table has a size.
_PROPERTIES = {
    "content_type": _SHORT,
    "content_encoding": _SHORT,
    "application_headers": _TABLE,
    "delivery_mode": 1,
    "priority": 1,
    "correlation_id": _SHORT,
    "reply_to": _SHORT,
    "expiration": _SHORT,
    "message_id": _SHORT,
    "timestamp": 8,
    "type": _SHORT,
    "user_id": _SHORT,
    "app_id": _SHORT,
    "cluster_id": _SHORT,
}
_UNKNOWN_FLAGS = 0b11

# Of values in a table: the sizes of those that have one, and the types of those that tell it first.
_SIZES = {"V": 0, "t": 1, "b": 1, "B": 1, "s": 2, "U": 2, "u": 2, "I": 4, "i": 4, "f": 4, "D": 5}
_SIZES |= dict.fromkeys("LldT", 8)
_SIZED = "SxAF"


def layout_of(content: bytes) -> Layout:
    """Of properties with a table, which end where ``content`` does."""
    (flags,) = _FLAGS.unpack_from(content, FIXED)
    at, layout = FIXED + _FLAGS.size, None
    for number, (name, size) in enumerate(_PROPERTIES.items()):
        if not flags & 0x8000 >> number:
            continue
        if size == _TABLE:
            end = at + LONG.size + LONG.unpack_from(content, at)[0]
            layout, at = Layout(at, list(_texts(content, at + LONG.size, end)), []), end
        elif size == _SHORT:
            start, at = at + 1, at + 1 + content[at]
            if layout is not None:
                layout.properties.append(Text(name, start, at, SHORT))
        else:
            at += size
    if layout is None or at != len(content) or flags & _UNKNOWN_FLAGS:
        raise ValueError
    return layout


def _texts(content: bytes, at: int, end: int) -> Iterator[Text]:
    while at < end:
        key = content[at + 1 : at + 1 + content[at]]
        at += 1 + len(key)
        kind = chr(content[at])
        at += 1
        if kind in _SIZES:
            at += _SIZES[kind]
        elif kind in _SIZED:
            start = at + LONG.size
            at = start + LONG.unpack_from(content, at)[0]
            if kind == "S":
                yield Text(key.decode(), start, at, LONG)
        else:
            raise ValueError
    if at != end:
        raise ValueError
