"""Looks at the lists: the fetch script, what it found, and whether the server will tell of the next."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

from workerd.source.base import Delivery
from workerd.source.redis.calls import Calls
from workerd.source.redis.envelopes import Read, tail_of
from workerd.source.redis.inflight import InFlight
from workerd.source.redis.keys import Keys
from workerd.source.redis.scripts import FETCH
from workerd.transport.redis import Command, Word

MOST = 500
"""Messages a look: Lua cannot unpack much more, and others wait while a script runs."""

Looked = Callable[[list[Delivery], bool], object]


class _Place(NamedTuple):
    """What a script must know of a queue; made once, as a message waits for each look."""

    lists: list[str]
    tail: str


class _Order(NamedTuple):
    """What all looks say that serve the queues in the same order."""

    queues: list[str]
    keys: list[str]
    tails: list[str]
    of_lists: list[str]
    """The queue of each list."""
    reads: Sequence[Command]


class Looks:
    """One look at a time; unless ``strict``, the queue that was served first goes to the end of the order."""

    def __init__(self, calls: Calls, keys: Keys, inflight: InFlight, prefix: str, read: Read) -> None:
        self._calls, self._keys, self._inflight, self._prefix = calls, keys, inflight, prefix
        self._read = read
        self.queues: list[str] = []
        self._places: dict[str, _Place] = {}
        self._order = _Order([], [], [], [], ())
        self._watched: set[bytes] = set()  # their lists, as the server names them
        self.tracking = self.strict = False
        self.armed = False
        """The lists were empty, and the server or the net will wake us when they are not."""
        self._number = 0
        self.under_way = False
        """A look has been sent, and its messages are in flight under our name whether we read it or not."""
        self._short = True

    def add(self, queue: str) -> bool:
        """Serve ``queue`` too; False when it is served already."""
        if queue in self.queues:
            return False
        # Where it enters must not depend on how the queues were named, or equal nodes serve alike.
        self.queues.insert(len(self.queues) if self.strict else random.randint(0, len(self.queues)), queue)
        self._places[queue] = _Place(self._keys.lists(queue), tail_of(queue))
        self._watch()
        self.armed = False
        return True

    def remove(self, queue: str) -> None:
        if queue in self.queues:
            self.queues.remove(queue)
            del self._places[queue]
            self._watch()

    def _watch(self) -> None:
        self._watched = {name.encode() for place in self._places.values() for name in place.lists}

    def concerns(self, push: Sequence[Any]) -> bool:
        """True when a push of the server ends the wait."""
        if not self.armed or push[0] != b"invalidate":
            return False
        if push[1] is None:  # the database was flushed
            return True
        return not self._watched.isdisjoint(push[1])

    def look(self, room: int, then: Looked) -> bool:
        """Take up to ``room`` messages; ``then(deliveries, more)`` where ``more`` asks for another look.

        False when there is nothing to send now.
        """
        if self.under_way or not self.queues:
            return False
        self.under_way, self.armed = True, False
        asked = min(room, MOST)
        if self._order.queues != self.queues:
            self._order = self._ordered()
        order = self._order
        args: list[Word] = [asked, f"{self._inflight.score:.3f}", self._prefix, self._number]
        # The lists of a level share the room; where there is one list a level, it may have it all.
        args += (1 if self.strict else len(self.queues), *order.tails)
        reads = order.reads if self.tracking and self._short else ()
        took = partial(self._took, asked, self._number, order.of_lists, then)
        self._number += asked
        self._calls.script(FETCH, order.keys, args, took, reads)
        return True

    def _ordered(self) -> _Order:
        places = [self._places[queue] for queue in self.queues]
        names = [name for level in zip(*(place.lists for place in places), strict=True) for name in level]
        steps = len(self._keys.steps)
        keys = [self._keys.unacked, self._keys.index, *names]
        tails, reads = [place.tail for place in places] * steps, (("EXISTS", *names),)
        return _Order(self.queues.copy(), keys, tails, self.queues * steps, reads)

    def _took(self, asked: int, number: int, queues: list[str], then: Looked, replies: list[Any]) -> None:
        self.under_way = False
        found, *exists = replies
        deliveries: list[Delivery] = []
        for index, raws in found:
            queue = queues[index - 1]
            if isinstance(raws, bytes):
                self._calls.link.lose(f"queue {queue} cannot be read: {raws.decode(errors='replace')}")
                return
            for raw in raws:
                deliveries.append(self._read(f"{self._prefix}{number + len(deliveries)}", queue, raw))
        self._inflight.add([delivery.tag for delivery in deliveries])
        if not self.strict and deliveries and (served := deliveries[0].queue) in self.queues:
            self.queues.remove(served)
            self.queues.append(served)
        self._short = len(deliveries) < asked
        self.armed = self._short and (not self.tracking or exists == [0])
        then(deliveries, not self.armed)
