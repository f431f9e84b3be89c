"""Properties of a message that py-amqp cannot read, or could not write again.

It decodes them in the middle of a message, and what it raises there is the end of the link.  The broker would
deliver that message again over the next one, and nothing behind it would ever be consumed.  So such a message
comes through without its properties, which are kept as bytes in a header beside the reason.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any

from amqp.serialization import decode_properties_basic, dumps

Frame = tuple[int, int, bytes]
"""Its kind, its channel, and what is in it."""
OnFrame = Callable[[Frame], Any]

UNREAD = "x-workerd-unread"
"""The header with the properties' bytes."""
WHY = "x-workerd-unread-because"

MOST_KEPT = 100_000
"""Of these bytes; as a header of the dead letter they must fit into a frame."""
MOST_DEPTH = 100
"""Tables within tables; some hundreds can be read, and half as many can be written."""
SHORT = 700
"""A frame of at most so many bytes holds no deeper ones: each takes seven."""

_HEADER = 2
FIXED = 12
"""Bytes before the properties: class, weight, length of the body."""
_HEADERS_ONLY = struct.pack(">H", 1 << 13)


def tolerant(on_frame: OnFrame) -> OnFrame:
    """``on_frame`` of a py-amqp connection, for every properties that a header frame may have."""

    def read(frame: Frame) -> Any:
        kind, channel, content = frame
        if kind != _HEADER:
            return on_frame(frame)
        if len(content) > SHORT and (why := _fault(content)):
            return on_frame((kind, channel, _without_properties(content, why)))
        try:
            return on_frame(frame)
        except Exception:
            # What failed may also be what is done with the message.
            if not (why := _fault(content)):
                raise
            return on_frame((kind, channel, _without_properties(content, why)))

    return read


def properties_of(content: bytes) -> dict[str, Any]:
    """The properties in a header frame, whatever is in it."""
    properties, why = _read(content)
    return _read(_without_properties(content, why))[0] if why else properties


def unread(headers: Mapping[str, Any]) -> str:
    """Why the properties of a message with these ``headers`` were not read; empty when they were."""
    return f"its properties cannot be read: {headers.get(WHY, '?')}" if UNREAD in headers else ""


def _fault(content: bytes) -> str:
    return _read(content)[1]


def _read(content: bytes) -> tuple[dict[str, Any], str]:
    """The properties, and what is wrong with them."""
    try:
        properties, _ = decode_properties_basic(content, FIXED)
    except RecursionError:
        return {}, "they are nested too deeply"
    except Exception as exc:  # noqa: BLE001 (whatever it is, the next message must come)
        return {}, f"{type(exc).__name__}: {exc}"[:200]
    deep = len(content) > SHORT and _depth(properties.get("application_headers")) > MOST_DEPTH
    return properties, "they are nested too deeply" if deep else ""


def _depth(value: Any) -> int:
    depth, level = 0, [value]
    while level and depth <= MOST_DEPTH:
        tables = [one for one in level if isinstance(one, (dict, list))]
        level = [inner for one in tables for inner in (one.values() if isinstance(one, dict) else one)]
        depth += 1
    return depth


def _without_properties(content: bytes, why: str) -> bytes:
    headers = {UNREAD: content[FIXED : FIXED + MOST_KEPT], WHY: why}
    table: bytes = dumps("F", [headers])
    return content[:FIXED] + _HEADERS_ONLY + table
