"""Orphans: give back the work in flight of owners that have died.

The messages go back to the heads of their lists.  Several nodes may do it at once: each message is moved
by one of them, and none of an owner whose lease has come back meanwhile.

Errors: none; a list that cannot be written to is told in the log, and its messages stay in flight.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from workerd.source.base import Delivery
from workerd.source.redis.calls import Calls
from workerd.source.redis.envelopes import batches
from workerd.source.redis.keys import Keys
from workerd.source.redis.notes import pairs_of
from workerd.source.redis.recovery import Recovery
from workerd.source.redis.scripts import TAKE
from workerd.transport.redis import ReplyError

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Estate:
    """What one dead owner has left, and how far we are with it."""

    owner: str
    moves: list[tuple[list[str], list[str | bytes]]] = field(default_factory=list)
    """Lists and arguments of the scripts, the last messages first."""
    left: int = 0
    """Scripts that are not answered."""
    taken: int = 0
    """Messages that we have moved."""
    lives: bool = False


class Orphans:
    """``ask`` asks for a round, in which ``flush`` is called; ``done(owner, moved, lives)`` ends one."""

    def __init__(
        self,
        calls: Calls,
        keys: Keys,
        recovery: Recovery,
        ask: Callable[[], object],
        done: Callable[[str, int, bool], object],
    ) -> None:
        self._calls, self._keys, self._recovery = calls, keys, recovery
        self._ask, self._done = ask, done
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

    def flush(self) -> int:
        """Send all that has been found; return the number of scripts."""
        sent = 0
        for estate in self._estates.values():
            moves, estate.moves = estate.moves, []
            for lists, args in moves:
                keys = [self._keys.unacked, self._keys.index, self._keys.lease(estate.owner), *lists]
                answered = partial(self._moved, estate)
                self._calls.script(TAKE, keys, args, answered, refused=partial(self._refused, estate, lists))
            sent += len(moves)
        return sent

    def _counted(self, estate: _Estate, replies: list[Any]) -> None:
        self._recovery.all(estate.owner, partial(self._found, estate, pairs_of(replies[0])))

    def _found(self, estate: _Estate, counts: dict[str, int], deliveries: list[Delivery]) -> None:
        for delivery in deliveries:
            delivery.deaths = counts.get(delivery.tag, 0)
        estate.moves = [(lists, args) for lists, args, _ in batches(deliveries, self._keys, first=4)]
        estate.left = len(estate.moves)
        if estate.moves:
            self._ask()
        else:
            self._end(estate)

    def _moved(self, estate: _Estate, replies: list[Any]) -> None:
        moved: int = replies[0]
        estate.lives |= moved < 0
        estate.taken += max(moved, 0)
        self._answered(estate)

    def _refused(self, estate: _Estate, lists: list[str], error: ReplyError) -> bool:
        """A list that is none is no reason to lose the link, over which the other queues are served."""
        if "WRONGTYPE" not in str(error):  # before 7.0 other words come first
            return False
        logger.error("Work of %s in %s cannot be given back: %s", estate.owner, ", ".join(lists), error)
        self._answered(estate)
        return True

    def _answered(self, estate: _Estate) -> None:
        estate.left -= 1
        if not estate.left:
            self._end(estate)

    def _end(self, estate: _Estate) -> None:
        del self._estates[estate.owner]
        if not estate.lives:
            self._calls.send([("DEL", self._keys.deaths(estate.owner))])
        if estate.taken:
            logger.warning(
                "Gave back %d messages of %s, whose lease nobody has renewed", estate.taken, estate.owner
            )
        self._done(estate.owner, estate.taken, estate.lives)
