"""Frames of AMQP as bytes, for what goes past py-amqp: deliveries in, settlements and limits out.

Errors: py-amqp's UnexpectedFrame for bytes that are no frame.
Source: AMQP 0-9-1, sections 4.2.3 and 4.2.6 (frames, content) and 1.8 (the class basic).
"""

from __future__ import annotations

import struct

from amqp import spec
from amqp.exceptions import UnexpectedFrame

from workerd.source.amqp.arrival import Arrival
from workerd.source.amqp.header_frames import FIXED, Frame

METHOD, HEADER, BODY = b"\x01", b"\x02", b"\x03"
END = 0xCE
AROUND = 8
"""Bytes of a frame around what is in it."""

INCOMPLETE, OTHER = 0, -1
"""In place of the end of a delivery."""

HEAD = struct.Struct(">BHI")  # kind, channel, size
_INNER = HEAD.size  # where what is in a frame begins
_ARGUMENTS = _INNER + 4  # behind class and method, or class and weight
_CHANNEL = struct.Struct(">H")
_SIZE = struct.Struct(">I")
_LENGTH = struct.Struct(">Q")  # of a body
DELIVERY = struct.Struct(">QB")  # its tag, and whether the message has been delivered before
_SETTLEMENT = struct.Struct(">BHIHHQBB")
_LIMIT = struct.Struct(">BHIHHIHBB")

_DELIVER = struct.pack(">HH", *spec.Basic.Deliver)
_MULTIPLE, _REQUEUE = 1, 2


def frame_at(buffer: bytes, at: int) -> tuple[Frame | None, int]:
    """The frame at ``at`` and where the next one begins; None while it is incomplete."""
    start = at + _INNER
    if len(buffer) < start:
        return None, at
    kind, channel, size = HEAD.unpack_from(buffer, at)
    end = start + size
    if len(buffer) <= end:
        return None, at
    if buffer[end] != END:
        raise UnexpectedFrame(f"a frame ends with {buffer[end]:#04x} in place of {END:#04x}")
    return (kind, channel, buffer[start:end]), end + 1


def delivery_at(buffer: bytes, at: int) -> tuple[Arrival | None, int]:
    """The message that is delivered at ``at``, and where that ends.

    Without one, the end is INCOMPLETE while what is there may become one, and else OTHER: so it is for all
    other methods, and for a message whose body has several frames or has other frames in between.
    """
    channel = buffer[at + 1 : at + 3]
    header = _end(buffer, at, METHOD + channel)
    if header <= 0 or not buffer.startswith(_DELIVER, at + _INNER):
        return None, header and OTHER
    body = _end(buffer, header, HEADER + channel)
    if body <= 0 or body - header < AROUND + FIXED:
        return None, body and OTHER
    (length,) = _LENGTH.unpack_from(buffer, header + _ARGUMENTS)
    end = _end(buffer, body, BODY + channel) if length else body
    if end <= 0 or end - body != (length and length + AROUND):
        return None, end and OTHER
    try:
        number, delivery = _CHANNEL.unpack(channel)[0], _delivery(buffer, at + _ARGUMENTS, header - 1)
    except (IndexError, struct.error, ValueError):
        return None, OTHER
    properties, text = buffer[header + _INNER : body - 1], buffer[body + _INNER : end - 1]
    return Arrival(number, delivery, properties, text), end


def _end(buffer: bytes, at: int, beginning: bytes) -> int:
    """Where the frame at ``at`` ends, if it begins so."""
    if not buffer.startswith(beginning, at):
        return INCOMPLETE if beginning.startswith(buffer[at : at + len(beginning)]) else OTHER
    if len(buffer) < at + _INNER:
        return INCOMPLETE
    end: int = at + AROUND + _SIZE.unpack_from(buffer, at + 3)[0]
    if len(buffer) < end:
        return INCOMPLETE
    return end if buffer[end - 1] == END else OTHER


def _delivery(buffer: bytes, at: int, end: int) -> tuple[str, int, bool, str, str]:
    """The arguments of the method; ValueError, IndexError or struct.error where they do not end there."""
    tag, at = _text(buffer, at)
    number, redelivered = DELIVERY.unpack_from(buffer, at)
    exchange, at = _text(buffer, at + DELIVERY.size)
    key, at = _text(buffer, at)
    if at != end:
        raise ValueError
    return tag, number, bool(redelivered), exchange, key


def _text(buffer: bytes, at: int) -> tuple[str, int]:
    end = at + 1 + buffer[at]
    return buffer[at + 1 : end].decode("utf-8", "surrogatepass"), end


def ack(channel: int, tag: int, *, multiple: bool = False) -> bytes:
    """This message is done, or all up to it."""
    return _SETTLEMENT.pack(1, channel, 13, *spec.Basic.Ack, tag, multiple and _MULTIPLE, END)


def nack(channel: int, tag: int) -> bytes:
    """This message goes back to its queue."""
    return _SETTLEMENT.pack(1, channel, 13, *spec.Basic.Nack, tag, _REQUEUE, END)


def limit(channel: int, messages: int, *, shared: bool) -> bytes:
    """So many may be unsettled: of the whole channel, or of each consumer that begins later."""
    return _LIMIT.pack(1, channel, 11, *spec.Basic.Qos, 0, messages, shared, END)
