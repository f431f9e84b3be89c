"""Reads what has come over a py-amqp connection, past py-amqp where that pays.

py-amqp takes a dozen calls for each of the three frames of a message, and unpacks every header.  So a usual
delivery is taken in one go here and given to the same consumer; everything else is py-amqp's, frame by frame.
What is not complete is left in py-amqp's own buffer, with which its synchronous calls begin to read: these
may be made at any time, also by the handler of a frame.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from workerd.source.amqp.arrival import Arrival
from workerd.source.amqp.channel import TaskChannel
from workerd.source.amqp.deliveries import Deliveries
from workerd.source.amqp.frames import INCOMPLETE, frame_at

FRAMES = 2
"""Of a delivery, at least: a method and a header."""


class Reader:
    """Of ``connection``, which is open."""

    def __init__(self, connection: Any) -> None:
        self._connection, self._deliveries = connection, Deliveries()

    def feed(self, data: bytes) -> None:
        """Dispatch what is complete with these bytes.  Raises what py-amqp raises."""
        # There is no public way to hand bytes to py-amqp.
        self._connection.transport._read_buffer += data
        while self._connection.connected and self._dispatch():
            pass

    def _dispatch(self) -> bool:
        """Take the deliveries that come first, and the frame behind them; False while that is incomplete."""
        buffer, at = self._connection.transport._read_buffer, 0
        taken, frame = [], None
        arrival, end = self._deliveries.at(buffer, at)
        while arrival is not None and (take := self._taker(arrival)) is not None:
            taken.append((take, arrival))
            at = end
            arrival, end = self._deliveries.at(buffer, at)
        if end != INCOMPLETE:
            frame, at = frame_at(buffer, at)
        # First of all: whoever is called now may read on.
        self._connection.transport._read_buffer = buffer[at:]
        self._connection.bytes_recv += FRAMES * len(taken)  # by which heartbeats tell that the peer lives
        for take, arrival in taken:
            take(arrival)
        if frame is not None:
            self._connection.on_inbound_frame(frame)
        return frame is not None

    def _taker(self, arrival: Arrival) -> Callable[[Arrival], object] | None:
        """The consumer of this; None where py-amqp has to say what becomes of it."""
        channel = self._connection.channels.get(arrival.channel_id)
        if not isinstance(channel, TaskChannel):
            return None
        take: Callable[[Arrival], object] | None = channel.callbacks.get(arrival.consumer_tag)
        return take
