"""What one channel has delivered and is not settled yet, and the acknowledgements that are to be written.

RabbitMQ takes one frame for all messages up to a number, or one for each; and for one that goes alone it
looks through all that were delivered before it and are held still.  So a message that is held for long makes
all later ones dear: ``passed`` counts them.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workerd.source.amqp.channel import TaskChannel

Tag = tuple[str, int]
"""Random name of the channel, and the broker's delivery tag."""


class Held:
    """Of ``channel``; None once that is gone with its connection.  It raises what py-amqp raises."""

    def __init__(self, channel: TaskChannel) -> None:
        self.name = secrets.token_hex(4)
        self.channel: TaskChannel | None = channel
        self.messages: dict[int, Any] = {}
        """Given to the consumer and not settled, lowest number first."""
        self.acks: set[int] = set()
        self.nacks: set[int] = set()
        self.acked = self.frames = 0
        """Messages that were acknowledged, and the frames that it took."""
        self.passed = 0
        """Messages that went alone because of the one that is now the first."""
        self._first = 0

    def __len__(self) -> int:
        return len(self.messages)

    @property
    def pending(self) -> int:
        """Settlements that are not written yet."""
        return len(self.acks) + len(self.nacks)

    def settle(self) -> None:
        """Tell the broker what has ended, and what else has been kept for this write."""
        channel = self.channel
        if channel is None:
            return
        for number in sorted(self.nacks, reverse=True):
            channel.nack(number)
            del self.messages[number]
        self.nacks.clear()
        alone = self._acknowledge(channel) if self.acks else 0
        first = next(iter(self.messages), 0)
        self.passed = alone + (self.passed if first == self._first else 0)
        self._first = first
        channel.flush()

    def _acknowledge(self, channel: TaskChannel) -> int:
        """One frame for all up to the first that goes on, one for each of the others, which are counted."""
        acks, messages, last = self.acks, self.messages, 0
        for number in messages:
            if number not in acks:
                break
            last = number
        if last:
            channel.ack(last, multiple=True)
        alone = [number for number in acks if number > last]
        for number in alone:
            channel.ack(number)
        for number in acks:
            del messages[number]
        self.frames += len(alone) + bool(last)
        self.acked += len(acks)
        acks.clear()
        return len(alone)
