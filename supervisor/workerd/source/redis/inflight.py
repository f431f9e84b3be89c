"""What this node holds in Redis's in-flight store, and the lease that tells others that it lives.

Each renewal tells whether the lease had run out meanwhile, and whether a tag is missing.  Others may
have taken work over then, so every tag is looked for before anything counts as ours again.

Units: seconds; scores are Unix time, ``sure_until`` is of ``Clock.boottime``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from workerd.clock import Clock
from workerd.source.owner import Owner
from workerd.source.redis.calls import Calls
from workerd.source.redis.chores import Chores
from workerd.source.redis.keys import Keys
from workerd.source.redis.scripts import CHUNK, RENEW
from workerd.transport.redis import Word

STAY = 86_400_000
"""Milliseconds for which the set of owners and the counts of deaths stay when nobody renews them."""

Gone = Callable[[list[str]], object]


class InFlight:
    """Tags from their fetch until the broker has confirmed their end; renewed each third of the lease.

    ``on_gone`` is called with the tags that are in flight no more, and also with none of them when
    it has become sure again that what is held here is ours.
    """

    def __init__(self, calls: Calls, keys: Keys, owner: Owner, clock: Clock, on_gone: Gone) -> None:
        self._calls, self._keys, self._owner = calls, keys, owner
        self._clock, self._on_gone = clock, on_gone
        self._tags: set[str] = set()
        self._new = True  # nothing has been renewed over this link
        self._looking = False  # for tags that may have gone
        self.sure_until = -math.inf
        """Until when nobody can have taken over what is held here."""

    def __len__(self) -> int:
        return len(self._tags)

    def __contains__(self, tag: str) -> bool:
        return tag in self._tags

    @property
    def score(self) -> float:
        """Until when a message taken now is ours without renewal."""
        return self._clock.wall() + self._owner.lease

    def add(self, tags: Iterable[str]) -> None:
        self._tags.update(tags)

    def discard(self, tags: Iterable[str]) -> None:
        self._tags.difference_update(tags)

    def start(self, chores: Chores) -> None:
        self.renew()
        chores.every(self._owner.lease / 3, self.renew)

    def renew(self) -> None:
        """Push every deadline forward; what others have taken over meanwhile is not made again."""
        name = self._owner.name
        keys = [self._keys.unacked, self._keys.index, self._keys.lease(name)]
        keys += [self._keys.owners, self._keys.deaths(name)]
        times: list[Word] = [str(int(self._owner.lease * 1000)), f"{self.score:.3f}", name, STAY]
        tags, asked = list(self._tags), self._clock.boottime()
        chunks = [tags[start : start + CHUNK] for start in range(0, len(tags) or 1, CHUNK)]
        doubts: list[bool] = []
        for chunk in chunks:
            last = chunk is chunks[-1]
            self._calls.script(
                RENEW, keys, [*times, *chunk], partial(self._renewed, asked, len(chunk), doubts, last)
            )

    def release(self) -> None:
        """Nothing is held here any more: others need not wait for the lease to run out."""
        name = self._owner.name
        ours = (self._keys.lease(name), self._keys.deaths(name))
        self._calls.send([("DEL", *ours), ("SREM", self._keys.owners, name)])

    def _renewed(self, asked: float, count: int, doubts: list[bool], last: bool, replies: list[Any]) -> None:
        held, here = replies[0]
        # On a new link a tag may be missing because its settlement arrived over the last one.
        doubts.append(not held or (here < count and not self._new))
        if not last or self._looking:
            return
        self._new = False
        if any(doubts):
            self._look_for_all(asked)
        else:
            self._sure(asked, [])

    def _look_for_all(self, asked: float) -> None:
        tags = list(self._tags)
        looked = partial(self._looked_for, asked, tags)
        if tags:
            self._looking = True
            self._calls.send([("HEXISTS", self._keys.unacked, tag) for tag in tags], looked)
        else:
            looked([])

    def _looked_for(self, asked: float, tags: list[str], replies: list[Any]) -> None:
        self._looking = False
        # Replies come in order, so what was settled before is confirmed by now and not ours to miss.
        gone = [tag for tag, there in zip(tags, replies, strict=True) if not there and tag in self._tags]
        self.discard(gone)
        self._sure(asked, gone)

    def _sure(self, asked: float, gone: list[str]) -> None:
        was_sure = self._clock.boottime() < self.sure_until
        self.sure_until = max(self.sure_until, asked + self._owner.lease)
        if gone or not was_sure:
            self._on_gone(gone)
