"""Orphans: give back the work in flight of owners that have died.

The messages go back to the heads of their lists.  Several nodes may do it at once: each message is moved
by one of them, and none of an owner whose lease has come back meanwhile.

Errors: none; a list that cannot be written to is told in the log, and its messages stay in flight.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec

from workerd.source.base import Delivery
from workerd.source.redis.envelopes import batches
from workerd.source.redis.notes import pairs_of
from workerd.source.redis.recovery import Recovery
from workerd.source.redis.returns import Returns
from workerd.source.redis.scripts import TAKE

logger = logging.getLogger(__name__)


class _Estate(msgspec.Struct):
    """What one dead owner has left, and how far we are with it."""

    owner: str
    left: int = 0
    """Scripts that are not answered."""
    taken: int = 0
    """Messages that we have moved."""
    lives: bool = False


class Orphans:
    """``done(owner, lives)`` ends the work with each."""

    def __init__(self, recovery: Recovery, returns: Returns, done: Callable[[str, bool], object]) -> None:
        self._calls, self._keys = recovery.calls, recovery.keys
        self._recovery, self._returns, self._done = recovery, returns, done
        self._estates: dict[str, _Estate] = {}

    @property
    def pending(self) -> int:
        """Owners whose work is being given back."""
        return len(self._estates)

    def inherit(self, owner: str) -> None:
        """Give back what ``owner`` has in flight, if its lease is missing; nothing when that is under way."""
        if owner not in self._estates:
            self._estates[owner] = _Estate(owner)
            counts = ("HGETALL", self._keys.deaths(owner))
            self._calls.send([counts], partial(self._counted, self._estates[owner]))

    def _counted(self, estate: _Estate, replies: list[Any]) -> None:
        self._recovery.all(estate.owner, partial(self._found, estate, pairs_of(replies[0])))

    def _found(self, estate: _Estate, counts: dict[str, int], deliveries: list[Delivery]) -> None:
        for delivery in deliveries:
            delivery.deaths = counts.get(delivery.tag, 0)
        keys = [self._keys.unacked, self._keys.index, self._keys.lease(estate.owner)]
        for lists, args, _ in batches(deliveries, self._keys, first=4):
            estate.left += 1
            self._returns.send(TAKE, [*keys, *lists], args, partial(self._moved, estate))
        if not estate.left:
            self._end(estate)

    def _moved(self, estate: _Estate, count: int) -> None:
        estate.lives |= count < 0
        estate.taken += max(count, 0)
        estate.left -= 1
        if not estate.left:
            self._end(estate)

    def _end(self, estate: _Estate) -> None:
        del self._estates[estate.owner]
        if not estate.lives:
            self._calls.send([("DEL", self._keys.deaths(estate.owner))])
        if estate.taken:
            logger.warning(
                "Gave back %d of the messages of %s, whose lease nobody has renewed",
                estate.taken,
                estate.owner,
            )
        self._done(estate.owner, estate.lives)
