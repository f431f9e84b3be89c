"""The link to the broker: DOWN, CONNECTING, UP, and when to try again.

Units:  seconds of the monotonic clock.
Source: exponential backoff with full jitter, so that a fleet does not return in one wave.
"""

from __future__ import annotations

import random
from enum import Enum

import msgspec

FIRST = 0.25
CAP = 4.0
DOUBLINGS = 10
"""More would change nothing, and some hundreds more would not fit into a float."""


class LinkState(Enum):
    """How the broker's loss looks from inside: a state, never an exception."""

    DOWN = "down"
    CONNECTING = "connecting"
    UP = "up"


class Link(msgspec.Struct):
    """State of the link, with its reason and the number of its generation."""

    state: LinkState = LinkState.DOWN
    generation: int = 0
    reason: str = "not connected yet"
    since: float = 0.0
    began: float = 0.0
    failures: int = 0
    restarts: int = -1
    ways: int = 1
    """Servers that are tried in turn: the wait grows once all of them have been."""
    random: random.Random = msgspec.field(default_factory=random.Random)

    def connecting(self, now: float) -> int:
        """An attempt begins: a new generation."""
        self.state, self.began = LinkState.CONNECTING, now
        self.generation += 1
        return self.generation

    def up(self, now: float) -> None:
        self.state, self.reason, self.since, self.failures = LinkState.UP, "", now, 0
        self.restarts += 1

    def down(self, reason: str, now: float) -> float:
        """The link is lost or could not be made; return the seconds until the next attempt."""
        # An attempt holds up the loop, so one that took long is not followed by the next at once.
        held_up = now - self.began if self.state is LinkState.CONNECTING else 0.0
        if self.state is LinkState.UP or not self.since:
            self.since = now
        self.state, self.reason = LinkState.DOWN, reason
        self.failures += 1
        rest = 2.0 * held_up if self.failures % self.ways == 0 else 0.0  # another server is tried at once
        doublings = min((self.failures - 1) // self.ways, DOUBLINGS)
        return max(rest, self.random.uniform(0.0, min(CAP, FIRST * 2.0**doublings)))
