"""Watch: see which owners have died, whichever node they were.

Every node watches the leases of all the others.  An owner is dead once we have ourselves seen, over one
link, that its lease was missing for a whole lease time; so that is known within two leases and a few seconds
of the death.  Owners are found in the set in which each writes itself down, and, should that have been
lost, by their tags: each look reads a page of the index.

Units:  seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from workerd.clock import Clock
from workerd.source.owner import Owner
from workerd.source.redis.calls import Calls
from workerd.source.redis.chores import Chores
from workerd.source.redis.keys import Keys
from workerd.source.redis.owner import owner_of
from workerd.source.redis.scripts import LEASES
from workerd.source.redis.silences import Silences
from workerd.transport.redis import Command

PAGE = 200
"""Tags that a look reads of the index."""

SLOWEST = 3.0
"""Between two looks, of which two are lost: one before the silence is seen, one after it was long enough."""


class Watch:
    """``on_dead`` is called with the name of an owner, again and again while it is there and silent."""

    def __init__(
        self, calls: Calls, keys: Keys, owner: Owner, clock: Clock, on_dead: Callable[[str], object]
    ) -> None:
        self._calls, self._keys, self._clock, self._on_dead = calls, keys, clock, on_dead
        self._own, self._pace = owner.name, min(owner.lease / 10, SLOWEST)
        self._silences = Silences(owner.lease, gap=min(2 * self._pace + 1.0, owner.lease / 2))
        self._known: set[str] = set()
        self._cursor: str | bytes = "0"
        self._looking = False

    def start(self, chores: Chores) -> None:
        self.look()
        chores.every(self._pace, self.look)

    def look(self) -> None:
        """See whose lease is missing; those who are not known yet are in the next look."""
        if self._looking:
            return
        self._looking = True
        watched, keys = sorted(self._known), self._keys
        others: list[Command] = [
            ("SMEMBERS", keys.owners),
            ("ZSCAN", keys.index, self._cursor, "COUNT", PAGE),
        ]
        leases = [keys.lease(owner) for owner in watched]
        looked = partial(self._looked, self._clock.boottime(), watched)
        self._calls.script(LEASES, [], leases, looked, others)

    def forget(self, owner: str, *, gone: bool) -> None:
        """Watch this one from the beginning, if it is met again; ``gone`` strikes it from the set."""
        self._silences.forget(owner)
        self._known.discard(owner)
        if gone:
            self._calls.send([("SREM", self._keys.owners, owner)])

    def _looked(self, asked: float, watched: list[str], replies: list[Any]) -> None:
        self._looking = False
        leases, members, (self._cursor, page) = replies
        missing = [owner for owner, there in zip(watched, leases, strict=True) if not there]
        dead = self._silences.seen(asked, self._clock.boottime(), missing)
        owners = {owner_of(tag.decode(errors="replace")) for tag in page[::2]}
        owners |= {member.decode(errors="replace") for member in members}
        self._known |= {owner for owner in owners if owner is not None} - {self._own}
        for owner in dead:
            self._on_dead(owner)
