"""Payloads of messages of one shape: what they share is packed once, their texts are put in between.

To pack the headers of each message anew, from dicts, takes twice as long.

Source: the msgpack specification, formats str, bin, map and array.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from workerd.protocol.message import AmqpPayload, encode_payload

if TYPE_CHECKING:
    from workerd.source.amqp.arrival import Arrival

_ARRAY, _MAP, _STR, _BIN = 0x90, 0x80, 0xA0, 0xC4
_SHORT = 1 << 8
"""Texts below this have their beginning in a table."""

Piece = tuple[bytes, int]
"""What is packed already, and the number of the text behind it."""


class Packing:
    """Of ``parts``, but with other texts for the ``headers`` and, behind those, the ``properties``."""

    def __init__(self, parts: AmqpPayload, headers: Sequence[str], properties: Sequence[str]) -> None:
        first = {name: number for number, name in enumerate(headers)}
        behind = {name: number for number, name in enumerate(properties, len(headers))}
        pieces, rest = [], bytes([_ARRAY | len(AmqpPayload.__struct_fields__)])
        for values, numbers in ((parts.properties, behind), (parts.headers, first)):
            found, rest = _cut(rest, values, numbers)
            pieces += found
        self._pieces, self._rest = pieces, rest
        self._where, self._end = ("", "", False), _where("", "", False)

    def payload(self, texts: Sequence[bytes], arrival: Arrival) -> bytes:
        """The ``Message.payload`` of ``arrival``, which has these texts."""
        where = arrival.exchange, arrival.routing_key, arrival.redelivered
        if where != self._where:
            self._where, self._end = where, _where(*where)
        packed: list[bytes] = []
        for before, number in self._pieces:
            text = texts[number]
            size = len(text)
            packed += (before, _STRS[size] if size < _SHORT else _begin_str(size), text)
        body = arrival.body
        packed += (self._rest, _begin_bin(len(body)), body, self._end)
        return b"".join(packed)


def _cut(rest: bytes, values: Mapping[str, Any], numbers: Mapping[str, int]) -> tuple[list[Piece], bytes]:
    """The pieces of a map, the first behind ``rest``, and what comes behind its last text."""
    pieces: list[Piece] = []
    for packed, number in _entries(values, numbers):
        rest += packed
        if number is not None:
            pieces.append((rest, number))
            rest = b""
    return pieces, rest


def _entries(values: Mapping[str, Any], numbers: Mapping[str, int]) -> Iterator[tuple[bytes, int | None]]:
    size = len(values)
    yield bytes([_MAP | size]) if size < 16 else struct.pack(">BH", 0xDE, size), None
    for name, value in values.items():
        yield encode_payload(name), numbers.get(name)
        if name not in numbers:
            yield encode_payload(value), None


def _where(exchange: str, key: str, redelivered: bool) -> bytes:
    return b"".join(map(encode_payload, (exchange, key, redelivered)))


def _begin_str(size: int) -> bytes:
    if size < 32:
        return bytes([_STR | size])
    return _sized(size, 0xD9)


def _begin_bin(size: int) -> bytes:
    return _sized(size, _BIN)


def _sized(size: int, first: int) -> bytes:
    """The size in one byte, two or four, behind the format that says which."""
    if size < 1 << 8:
        return bytes((first, size))
    return struct.pack(">BH", first + 1, size) if size < 1 << 16 else struct.pack(">BI", first + 2, size)


_STRS: Sequence[bytes] = [_begin_str(size) for size in range(_SHORT)]
