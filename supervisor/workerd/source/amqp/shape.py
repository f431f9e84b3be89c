"""The shape of all messages whose properties are the same, byte for byte, except for some texts in them."""

from __future__ import annotations

import struct
from collections.abc import Set
from datetime import tzinfo

import msgspec

from workerd.protocol.envelope import Headers
from workerd.protocol.message import Message, decode_payload
from workerd.protocol.moment import parse_moment
from workerd.source.amqp.arrival import Arrival
from workerd.source.amqp.layout import layout_of
from workerd.source.amqp.packing import Packing
from workerd.source.amqp.pattern import Pattern

# Headers that a message has as they are, those that it has as a time, and properties that it has as they are.
_PLAIN = {"id", "task", "shadow", "root_id", "parent_id", "group", "argsrepr", "kwargsrepr", "origin"}
_TIMES = {"eta", "expires"}
_PLAIN_TOO = {"correlation_id", "reply_to"}
_VARY = _PLAIN | _TIMES
_KNOWN = {field.encode_name for field in msgspec.structs.fields(Headers)}


class Shape:
    """That of ``arrival``, which is ``message``; times without an offset are in ``zone``.

    The texts of its messages have numbers; those that are in ``same`` are no texts of theirs, but fixed.

    Errors: ValueError, IndexError or struct.error for properties that are not as AMQP has them.
    """

    def __init__(
        self, arrival: Arrival, message: Message, zone: tzinfo, same: Set[int] = frozenset()
    ) -> None:
        layout = layout_of(arrival.content)
        vary = [text for text in layout.headers if text.name in _VARY or text.name not in _KNOWN]
        headers = [text for number, text in enumerate(vary) if number not in same]
        behind = [text for number, text in enumerate(layout.properties, len(vary)) if number not in same]
        self._message, self._zone = message, zone
        self._pattern = Pattern(arrival.content, layout.table, headers, behind)
        names, names_behind = [text.name for text in headers], [text.name for text in behind]
        self._packing = Packing(decode_payload(message.payload), names, names_behind)
        numbered = list(enumerate(names))
        self._times = [(name, number) for number, name in numbered if name in _TIMES]
        self._fields = [
            *((name, number) for number, name in numbered if name in _PLAIN),
            *((name, number) for number, name in enumerate(names_behind, len(names)) if name in _PLAIN_TOO),
        ]

    def narrowed(self, arrival: Arrival, message: Message, same: Set[int]) -> Shape:
        """That of ``arrival``, a message of this shape, in which the texts of these numbers are fixed."""
        return Shape(arrival, message, self._zone, same)

    def read(self, arrival: Arrival) -> Message | None:
        """None where it has another shape, or a text that cannot be taken as it is."""
        texts = self.texts(arrival)
        return self.message(arrival, texts) if texts is not None else None

    def texts(self, arrival: Arrival) -> list[bytes] | None:
        """Those of ``arrival``; None where it has another shape."""
        try:
            return self._pattern.texts(arrival.content)
        except struct.error:  # it ends too soon
            return None

    def message(self, arrival: Arrival, written: list[bytes]) -> Message | None:
        """What ``arrival`` is, with its texts; None where one of these cannot be taken as it is."""
        # As copy() does, in half the time; msgspec's types do not have it.
        message: Message = self._message.__copy__()  # type: ignore[attr-defined]
        try:
            texts = [text.decode() for text in written]
            for field, number in self._fields:
                setattr(message, field, texts[number])
            for field, number in self._times:
                setattr(message, field, parse_moment(texts[number], self._zone))
        except ValueError:  # no UTF-8, or no time
            return None
        if not message.id or not message.task:
            return None
        message.exchange, message.routing_key = arrival.exchange, arrival.routing_key
        message.redelivered = message.redelivered or arrival.redelivered
        message.payload = self._packing.payload(written, arrival)
        return message
