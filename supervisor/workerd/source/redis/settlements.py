"""The ends of deliveries on Redis: settled, given back, parked, put aside; batched and confirmed.

Each names its tag, and does nothing when the tag is no longer in flight: work that another node has
taken over is never deleted or doubled by a late word of ours.  ``on_gone`` is told of such tags before
the settlement counts as confirmed.  A dead queue that we may not write to, or that is no list, holds up only
what is for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec

from workerd.protocol.dead import Letter, entry_of
from workerd.source.apart import Apart
from workerd.source.base import Delivery, Done
from workerd.source.redis.calls import Calls
from workerd.source.redis.delayed import parking
from workerd.source.redis.envelopes import batches
from workerd.source.redis.inflight import Gone, InFlight
from workerd.source.redis.keys import Keys
from workerd.source.redis.notes import Notes
from workerd.source.redis.scripts import CHUNK, GIVE_BACK, PARK, PUT_ASIDE, SETTLE, Script
from workerd.transport.loop import Loop
from workerd.transport.redis import ReplyError

NOT_OURS = ("WRONGTYPE", "NOPERM", "user executing the script")
"""What an error answer says of a key; before Redis 7 other words may come first."""


class _Move(msgspec.Struct):
    """One script call, the tags that it ends in the order of its arguments, and who waits for it."""

    script: Script
    keys: list[str]
    args: Sequence[str | bytes]
    tags: list[str]
    thens: list[Done] = msgspec.field(default_factory=list)


class Settlements:
    """Collects until ``flush``; ``pending`` counts deliveries that the server has not confirmed."""

    def __init__(
        self, calls: Calls, keys: Keys, loop: Loop, inflight: InFlight, notes: Notes, on_gone: Gone
    ) -> None:
        self._calls, self._keys, self._on_gone = calls, keys, on_gone
        self._inflight, self._notes = inflight, notes
        self._settled: list[str] = []
        self._thens: list[Done] = []
        self._returned: list[Delivery] = []
        self._return_thens: list[Done] = []
        self._parked: list[Delivery] = []
        self._park_thens: list[Done] = []
        self._moves: list[_Move] = []
        self._apart: Apart[_Move] = Apart(loop, self._moves.extend)
        self.pending = 0

    def settle(self, deliveries: Sequence[Delivery], then: Done | None) -> None:
        self.pending += len(deliveries)
        for delivery in deliveries:
            self._settled.append(delivery.tag)
        if then is not None:
            self._thens.append(then)

    def give_back(self, deliveries: Sequence[Delivery], then: Done | None) -> None:
        """To the heads of their lists, so that the first that was given back is the next to be fetched."""
        self.pending += len(deliveries)
        self._returned += deliveries
        if then is not None:
            self._return_thens.append(then)

    def park(self, delivery: Delivery, then: Done) -> None:
        self.pending += 1
        self._parked.append(delivery)
        self._park_thens.append(then)

    def put_aside(self, delivery: Delivery, letter: Letter, then: Done | None) -> None:
        self.pending += 1
        keys = self._where(self._keys.dead(delivery.queue), self._keys.dead_queues)
        args = [delivery.tag, entry_of(letter, delivery.raw), delivery.queue]
        move = _Move(PUT_ASIDE, keys, args, [delivery.tag])
        if then is not None:
            move.thens.append(then)
        self._moves.append(move)

    def flush(self) -> int:
        """Send all that has been collected; return the number of scripts."""
        if self._settled:
            self._moves.append(self._settle())
        if self._returned:
            self._moves += self._give_back()
        if self._parked:
            self._moves += self._park()
        moves = self._moves.copy()
        self._moves.clear()
        for move in moves:
            confirmed, refused = partial(self._confirmed, move), partial(self._refused, move)
            self._calls.script(move.script, move.keys, move.args, confirmed, refused=refused)
        return len(moves)

    def stop(self) -> None:
        """Try nothing again.  May be called twice."""
        self._apart.stop()

    def _refused(self, move: _Move, error: ReplyError) -> bool:
        """A dead queue that takes nothing is no reason to lose the link, over which all else goes on."""
        if move.script is not PUT_ASIDE or not any(word in str(error) for word in NOT_OURS):
            return False
        self._apart.put(move.keys[2], [move], str(error))
        return True

    def _confirmed(self, move: _Move, replies: list[Any]) -> None:
        tags = move.tags
        if move.script is PUT_ASIDE:
            self._apart.taken(move.keys[2])
        self.pending -= len(tags)
        self._inflight.discard(tags)
        self._notes.forget(tags)
        if gone := replies[0]:
            self._on_gone([tags[place - 1] for place in gone])
        for then in move.thens:
            then()

    def _settle(self) -> _Move:
        """One script's worth of what is settled; the callbacks go with the last."""
        tags, self._settled = self._settled, []
        while len(tags) > CHUNK:
            self._moves.append(_Move(SETTLE, self._where(), tags[:CHUNK], tags[:CHUNK]))
            tags = tags[CHUNK:]
        thens, self._thens = self._thens, []
        return _Move(SETTLE, self._where(), tags, tags, thens)

    def _give_back(self) -> list[_Move]:
        """A script for each batch; the callbacks go with the last, which has the first deliveries."""
        deliveries, self._returned = self._returned, []
        moves = [
            _Move(GIVE_BACK, self._where(*lists), args, tags)
            for lists, args, tags in batches(deliveries, self._keys, first=3)
        ]
        moves[-1].thens, self._return_thens = self._return_thens, []
        return moves

    def _park(self) -> list[_Move]:
        deliveries, self._parked = self._parked, []
        moves = [
            _Move(PARK, self._where(self._keys.delayed), args, tags)
            for args, tags in parking(deliveries, self._keys)
        ]
        moves[-1].thens, self._park_thens = self._park_thens, []
        return moves

    def _where(self, *lists: str) -> list[str]:
        return [self._keys.unacked, self._keys.index, *lists]
