"""Messages whose own headers leave no room in a frame for what is added to them.

All headers of a message must fit into one frame, and a broker ends the connection over one that does not.
A dead letter of such a message has it whole in its body: its properties as bytes, and its own body.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import msgspec
from amqp.basic_message import Message
from amqp.serialization import decode_properties_basic

WRAPPED = "x-workerd-wrapped"
"""The header of a message that has another one in its body."""

USUAL = 131_072
"""Bytes of a frame, where nothing else was agreed with the broker."""

_OVERHEAD = 8 + 12  # of the frame, and of what comes before the properties


class _Whole(msgspec.Struct, frozen=True, array_like=True):
    properties: bytes
    body: bytes


def fits(message: Message, frame: int = USUAL) -> bool:
    """Whether the properties of ``message`` fit into a frame of so many bytes."""
    return len(_properties_of(message)) + _OVERHEAD <= (frame or USUAL)


def wrapped(message: Message, headers: dict[str, Any]) -> Message:
    """A message with ``headers`` that has ``message`` in its body."""
    body = message.body or b""
    whole = _Whole(_properties_of(message), body.encode() if isinstance(body, str) else bytes(body))
    return Message(_encode(whole), application_headers={**headers, WRAPPED: True}, delivery_mode=2)


def unwrapped(message: Any) -> Any:
    """What ``message`` has in its body; itself when that is nothing."""
    if WRAPPED in (message.headers or {}):
        with suppress(Exception):  # somebody else has set that header, to whatever
            whole = _decode(message.body)
            found = Message(whole.body)
            found.properties, _ = decode_properties_basic(whole.properties, 0)
            return found
    return message


def _properties_of(message: Message) -> bytes:
    written: bytes = message._serialize_properties()  # py-amqp has no public way to ask for its size
    return written


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Whole).decode
