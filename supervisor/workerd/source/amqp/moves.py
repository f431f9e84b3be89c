"""Whether a group should go on with another channel, so that acknowledgements go together again.

To end consumers and to begin them anew costs the broker 2 ms.
"""

from __future__ import annotations

from collections.abc import Sequence

from workerd.source.amqp.held import Held

WORTH = 256
"""Messages that went alone because of the same earlier one; to move costs as much as a hundred of them do."""

CHANNELS = 16
"""Of one group at most; where each of them holds something, messages go alone."""


class Moves:
    """Of one group; ``going`` from the decision to move until ``done``."""

    def __init__(self, worth: int = WORTH) -> None:
        self.going, self.worth = False, worth

    def begins(self, channels: Sequence[Held]) -> bool:
        """True when it is decided now; the last one of ``channels`` is consumed over."""
        if self.going or channels[-1].passed < self.worth or not self._has_room(channels):
            return False
        self.going = True
        return True

    def done(self) -> None:
        """It goes on with another channel."""
        self.going = False

    @staticmethod
    def _has_room(channels: Sequence[Held]) -> bool:
        channel = channels[-1].channel
        if channel is None:
            return False
        # What else uses this connection needs some, too.
        free = len(channel.connection.channels) * 2 < int(channel.connection.channel_max)
        return (free and len(channels) < CHANNELS) or not all(channels)
