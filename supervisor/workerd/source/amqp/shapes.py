"""Messages whose properties are those of an earlier one, except for some texts in them.

What a client sends has the same headers each time, in the same order, of the same types, and most of them
have the same value.  To unpack twenty of them takes longer than everything else that is done with a message
here; to see that all between those texts is as it was, byte for byte, takes a fifth of that.  Such a message
is a copy of the earlier one with texts of its own: the same as if it had been read the long way.
"""

from __future__ import annotations

import struct
from collections import deque
from datetime import tzinfo

from workerd.protocol.message import Message
from workerd.source.amqp.arrival import Arrival
from workerd.source.amqp.habit import Habit
from workerd.source.amqp.shape import Shape

MOST = 8
"""Shapes that are kept: of several clients, of tasks with limits or with parents."""

TRUST, REST = 16, 200
"""After so many messages more without a known shape than with one, so many are not even compared."""


class Shapes:
    """Of one source; times without an offset are in ``zone``."""

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone
        self._shapes: deque[Habit] = deque(maxlen=MOST)  # the last one that fitted first
        self._trust, self._rest = TRUST, 0

    def read(self, arrival: Arrival) -> Message | None:
        """None where it has no known shape."""
        if self._rest:
            self._rest -= 1
            return None
        for number, shape in enumerate(self._shapes):
            if (message := shape.read(arrival)) is not None:
                if number:
                    del self._shapes[number]
                    self._shapes.appendleft(shape)
                self._trust = min(self._trust + 1, TRUST)
                return message
        return None

    def learn(self, arrival: Arrival, message: Message) -> None:
        """``message`` is what the long way has made of ``arrival``, which had no known shape."""
        if self._rest or message.protocol != 2 or arrival.redelivered:
            return
        self._trust -= 1
        if not self._trust:
            self._trust, self._rest = TRUST, REST
        try:
            shape = Shape(arrival, message, self._zone)
        except (ValueError, IndexError, struct.error):
            return
        if shape.read(arrival) == message:  # it has no header twice, for one
            if len(self._shapes) == MOST:
                self._shapes.pop()
            self._shapes.appendleft(Habit(shape))
