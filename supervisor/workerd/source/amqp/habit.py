"""Habits: of the texts in which messages of one shape may differ, most are the same for a while.

A client that sends one task names it, itself and its reply queue in every message.  So beside a shape there
is a narrow one, for which those texts are as fixed as all else: a message that fits it is read in half the
time.  It is made of two messages in a row, and anew from time to time where many do not fit.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from workerd.source.amqp.shape import Shape

if TYPE_CHECKING:
    from workerd.protocol.message import Message
    from workerd.source.amqp.arrival import Arrival

FIRST, NEXT, LAST = 2, 64, 4096
"""Messages that are read without a narrow shape until it is made: the first, one in place of one that has
fitted as often, and at most."""


class Habit:
    """``shape``, and what its messages have in common just now."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._narrow: Shape | None = None
        self._texts: list[bytes] = []  # of the last message that did not fit
        self._fitted = self._others = 0
        self._patience = FIRST

    def read(self, arrival: Arrival) -> Message | None:
        """None where it is of another shape."""
        if self._narrow is not None and (message := self._narrow.read(arrival)) is not None:
            self._fitted += 1
            return message
        texts = self._shape.texts(arrival)
        message = self._shape.message(arrival, texts) if texts is not None else None
        if texts is not None and message is not None and not arrival.redelivered:
            self._learn(arrival, message, texts)
        return message

    def _learn(self, arrival: Arrival, message: Message, texts: list[bytes]) -> None:
        before, self._texts = self._texts, texts
        self._others += 1
        if self._others < self._patience:
            return
        fits = self._narrow is None or self._fitted >= self._others
        self._patience = NEXT if fits else min(2 * self._patience, LAST)
        self._fitted = self._others = 0
        same = {number for number, pair in enumerate(zip(before, texts, strict=True)) if pair[0] == pair[1]}
        try:
            self._narrow = self._shape.narrowed(arrival, message, same) if same else None
        except (ValueError, IndexError, struct.error):  # its last text is shorter than it says
            self._narrow = None
