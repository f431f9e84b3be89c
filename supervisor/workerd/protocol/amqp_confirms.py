"""The broker's word on publishes (``basic.ack`` and ``basic.nack``), as it comes in frames."""

from __future__ import annotations

import struct
from typing import NamedTuple

_FRAME, _END = struct.Struct(">BHI"), 1
_CONFIRM = struct.Struct(">4sQB")  # which method, the publish's number, whether all before it are meant
_METHOD = 1
_ACK, _NACK = struct.pack(">HH", 60, 80), struct.pack(">HH", 60, 120)
_LENGTH = _FRAME.size + _CONFIRM.size + _END


class Confirm(NamedTuple):
    """``number`` is that of a publish on its channel, from 1; ``multiple``: all up to it are meant."""

    number: int
    multiple: bool
    refused: bool


def split_confirms(data: bytes, channel: int) -> tuple[list[Confirm], bytes]:
    """The confirms on ``channel`` at the beginning of ``data``, and the rest."""
    found, at, header = [], 0, (_METHOD, channel, _CONFIRM.size)
    while len(data) - at >= _LENGTH and _FRAME.unpack_from(data, at) == header:
        method, number, bits = _CONFIRM.unpack_from(data, at + _FRAME.size)
        if method not in (_ACK, _NACK):
            break
        found.append(Confirm(number, bool(bits & 1), refused=method == _NACK))
        at += _LENGTH
    return found, data[at:]


def is_whole(data: bytes) -> bool:
    """True when ``data`` begins with a whole frame."""
    return len(data) >= _FRAME.size and len(data) >= _FRAME.size + _FRAME.unpack_from(data)[2] + _END
