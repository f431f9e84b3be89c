"""Deliveries: takes the messages out of what has come, quicker where they come by the same way.

Messages that one consumer gets of one exchange by one key differ, in their method frame, in nothing but their
number and whether they come again.  So what such a frame begins and ends with is kept, the last one of each
consumer, and compared; the long way (``frames.delivery_at``) is for all that is not like it, or incomplete.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from workerd.source.amqp.arrival import Arrival
from workerd.source.amqp.frames import AROUND, DELIVERY, END, HEAD, delivery_at
from workerd.source.amqp.header_frames import FIXED

_CONTENT = struct.Struct(">BHIHHQ")  # kind, channel, size, class, weight, length of the body
_TAG = 11  # where the consumer's tag is: behind the frame's head, class and method
_HEADER, _BODY = 2, 3

MOST = 1000
"""Ways that are known at a time: a consumer that begins anew has another tag."""


class _Way(NamedTuple):
    """The method frame of one delivery, around what the next one may have otherwise."""

    varying: int
    """Where that is: what comes before it is what the way is known by."""
    end: bytes
    size: int
    channel: int
    consumer_tag: str
    exchange: str
    key: str


class Deliveries:
    """Of one connection."""

    def __init__(self) -> None:
        self._ways: dict[bytes, _Way] = {}  # by what the frame begins with: its consumer's tag comes last

    def at(self, buffer: bytes, at: int) -> tuple[Arrival | None, int]:
        """As ``frames.delivery_at``."""
        tag = at + _TAG
        begin = buffer[at : tag + 1 + buffer[tag]] if tag < len(buffer) else b""
        way = self._ways.get(begin)
        if way is not None and (found := _by(way, buffer, at)) is not None:
            return found
        arrival, end = delivery_at(buffer, at)
        if arrival is not None:
            if len(self._ways) >= MOST:
                self._ways.clear()
            self._ways[begin] = _way_of(arrival, buffer, at, len(begin))
        return arrival, end


def _by(way: _Way, buffer: bytes, at: int) -> tuple[Arrival, int] | None:
    """The message at ``at`` if it has come this way, whole and in one body frame at most."""
    varying, header = at + way.varying, at + way.size
    if not buffer.startswith(way.end, varying + DELIVERY.size):
        return None
    try:
        kind, channel, size, _, _, length = _CONTENT.unpack_from(buffer, header)
        body = end = header + AROUND + size
        if kind != _HEADER or channel != way.channel or size < FIXED or buffer[body - 1] != END:
            return None
        if length:
            kind, channel, size = HEAD.unpack_from(buffer, body)
            end = body + AROUND + size
            if kind != _BODY or channel != way.channel or size != length or buffer[end - 1] != END:
                return None
    except (struct.error, IndexError):  # not all of it has come
        return None
    number, again = DELIVERY.unpack_from(buffer, varying)
    delivery = way.consumer_tag, number, bool(again), way.exchange, way.key
    content, text = buffer[header + HEAD.size : body - 1], buffer[body + HEAD.size : end - 1]
    return Arrival(channel, delivery, content, text), end


def _way_of(arrival: Arrival, buffer: bytes, at: int, varying: int) -> _Way:
    """That of ``arrival``, which is at ``at``."""
    size = AROUND + HEAD.unpack_from(buffer, at)[2]
    return _Way(
        varying=varying,
        end=buffer[at + varying + DELIVERY.size : at + size],
        size=size,
        channel=arrival.channel_id,
        consumer_tag=arrival.consumer_tag,
        exchange=arrival.exchange,
        key=arrival.routing_key,
    )
