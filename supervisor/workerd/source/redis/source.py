"""``RedisSource``: task queues in Redis without a moment in which a message is nowhere.

One script moves messages from the lists into the in-flight store that kombu's workers share, so
whoever dies, the message is in one of the two.  An idle node is woken by the server (CLIENT TRACKING):
a look that comes back short is followed by one whose pipeline also asks whether the lists exist, which
makes the server tell of their next change.  A look each second is the net under that, and
the only way where the server refuses tracking.

Units:   seconds.
Errors:  UnavailableError from ``start``; after that, the loss of the link through ``on_lost`` alone.
"""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, tzinfo
from functools import partial
from typing import Any

from workerd.clock import Clock
from workerd.errors import UnavailableError
from workerd.source.base import Delivery, Done
from workerd.source.redis.calls import Calls
from workerd.source.redis.envelopes import delivery_of
from workerd.source.redis.inflight import InFlight
from workerd.source.redis.keys import Keys
from workerd.source.redis.looks import Looks
from workerd.source.redis.pacer import Pacer
from workerd.source.redis.recovery import Recovery
from workerd.source.redis.settlements import Settlements
from workerd.transport.address import RedisAddress
from workerd.transport.loop import Cancelable, Loop
from workerd.transport.redis import RedisLink

GAP = 0.004
"""Between two rounds of commands; a round touches the in-flight store twice, which makes 500 a second."""

NET = 1.0
"""Between two looks of an idle node that nothing has woken."""

SPREAD, LONGEST_SPREAD = 0.002, 0.02
"""How far a node's looks are spread for each wake-up that was in vain, and at most."""


class RedisSource:
    """A ``TaskSource`` over one link; tags are ``<owner>:<random>.<number>`` and never used twice."""

    survives_link = True

    def __init__(
        self,
        address: RedisAddress,
        keys: Keys,
        loop: Loop,
        *,
        owner: str,
        predecessors: Sequence[str],
        lease: float,
        clock: Clock,
        zone: tzinfo = UTC,
    ) -> None:
        self._loop, self._keys, self._lease = loop, keys, lease
        self._owner = owner
        self._predecessors = [name for name in predecessors if name != owner]
        self._link = RedisLink(loop, address, on_lost=self._lost, on_push=self._pushed)
        calls = self._calls = Calls(self._link)
        self._inflight = InFlight(calls, keys, owner, lease, clock)
        self._settlements = Settlements(calls, keys, self._inflight, clock)
        read = partial(delivery_of, zone=zone)
        self._recovery = Recovery(calls, keys, read)
        self._looks = Looks(calls, keys, self._inflight, f"{owner}:{secrets.token_hex(6)}.", read)
        self._pacer = Pacer(loop, clock, GAP, self._round)
        self._timers: list[Cancelable] = []
        self._turn: Cancelable | None = None  # a wake-up that lets other nodes go first
        self._room = 0
        self._recovered = self._closed = False
        self._woken = False  # the look that comes next is one for which the server woke us
        self._wasted = 0  # such looks in a row that came too late for a message

    @property
    def pending(self) -> int:
        return self._settlements.pending + self._looks.under_way

    def start(
        self,
        queues: Sequence[str],
        on_deliveries: Callable[[list[Delivery]], None],
        on_lost: Callable[[str], None],
        known: Callable[[Any], bool],
    ) -> None:
        """Connect, declare and recover; blocks for 5 s at most while the server is silent.

        Raises UnavailableError when the server cannot be reached or refuses.
        """
        failures: list[str] = []
        self._on_deliveries, self._on_lost, self._known = on_deliveries, failures.append, known
        self._link.connect()
        for queue in queues:
            self.add_queue(queue)
        self._inflight.start(self._loop)
        # Recovery reads the in-flight store; tracking begins after it, so that the store is not tracked.
        self._recover()
        self._link.drain()
        if failures:
            raise UnavailableError(failures[0])
        self._on_lost = on_lost
        self._timers = [
            self._loop.call_later(self._lease / 3, self._recover),
            self._loop.call_repeatedly(NET * random.uniform(0.9, 1.1), self._look_anyway),
        ]
        if self._link.protocol >= 3:
            self._calls.attempt([("CLIENT", "TRACKING", "ON", "NOLOOP")], self._tracked)
        self._recovered = True
        self._pacer.ask()

    def fetch(self, room: int) -> None:
        self._room = room
        self.wait()

    def wait(self) -> None:
        if self._room > 0 and not self._looks.armed:
            self._pacer.ask()

    def settle(self, deliveries: Sequence[Delivery], then: Done | None = None) -> None:
        if deliveries:
            self._settlements.settle(deliveries, then)
            self._pacer.ask()
        elif then is not None:
            then()

    def give_back(self, deliveries: Sequence[Delivery], then: Done | None = None) -> None:
        if deliveries:
            self._settlements.give_back(deliveries, partial(self._given_back, then))
            self._pacer.ask()
        elif then is not None:
            then()

    def _given_back(self, then: Done | None) -> None:
        if then is not None:
            then()
        # The server does not tell us of changes that we make.
        self._look_anyway()

    def put_aside(self, delivery: Delivery, reason: str, then: Done | None = None) -> None:
        self._settlements.put_aside(delivery, reason, then)
        self._pacer.ask()

    def add_queue(self, name: str) -> None:
        if self._looks.add(name):
            # Producers do the same; a server that is out of memory may refuse it.
            self._calls.attempt([("SADD", *binding) for binding in self._keys.bindings(name)])
            self.wait()

    def cancel_queue(self, name: str) -> None:
        self._looks.remove(name)

    def info(self) -> Mapping[str, Any]:
        return {
            "kind": "redis",
            "url": self._link.address.shown,
            "up": self._link.up,
            "queues": sorted(self._looks.queues),
            "wakes_by": "push" if self._looks.tracking else "poll",
            "in_flight": len(self._inflight),
            "pending": self.pending,
            "room": self._room,
        }

    def close(self) -> None:
        if not self._closed:
            self._settlements.flush()
            self._leave()

    # -- looking -------------------------------------------------------------------------------

    def _round(self) -> None:
        if not self._link.up:  # before start
            return
        with self._link.together():
            self._settlements.flush()
            if self._recovered and self._room > 0:
                self._looks.look(self._room, self._looked)

    def _looked(self, deliveries: list[Delivery], more: bool) -> None:
        self._wasted = 0 if deliveries else self._wasted + self._woken
        self._woken = False
        if deliveries:
            self._room = max(self._room - len(deliveries), 0)
        if deliveries or self._room == 0:
            # An empty answer counts too for who waits until nothing is on its way any more.
            self._hand_over(deliveries)
        if more:
            self.wait()

    def _pushed(self, push: list[Any]) -> None:
        if not self._looks.concerns(push):
            return
        self._looks.armed = False
        self._woken = True
        # Every idle node wakes for one message; those that came too late last time let others go first.
        spread = min(self._wasted * SPREAD, LONGEST_SPREAD)
        if self._turn is not None:
            self._turn.cancel()
        self._turn = self._loop.call_later(random.uniform(0, spread), self.wait) if spread else None
        if self._turn is None:
            self.wait()

    def _look_anyway(self) -> None:
        self._looks.armed = False
        self.wait()

    def _tracked(self, replies: list[Any]) -> None:
        self._looks.tracking = replies == [b"OK"]
        self.wait()

    # -- recovering ----------------------------------------------------------------------------

    def _recover(self) -> None:
        for predecessor in self._predecessors:
            self._recovery.all(predecessor, self._inherit)
        # Page by page: what is settled before the last page came must not look like a stranger.
        self._recovery.pages(self._owner, self._take_over)

    def _inherit(self, found: list[Delivery]) -> None:
        if found:
            self._settlements.give_back(found, None)
            self._settlements.flush()

    def _take_over(self, found: list[Delivery]) -> None:
        strangers = [d for d in found if d.tag not in self._inflight and not self._known(d.tag)]
        self._inflight.add(delivery.tag for delivery in found)
        if strangers:
            # Not from inside start: who is told may not be ready to settle.
            self._loop.call_soon(self._hand_over, strangers)

    def _hand_over(self, deliveries: list[Delivery]) -> None:
        if not self._closed:
            self._on_deliveries(deliveries)

    # -- leaving -------------------------------------------------------------------------------

    def _lost(self, reason: str) -> None:
        if not self._closed:
            self._leave()
            self._on_lost(reason)

    def _leave(self) -> None:
        self._closed = True
        self._inflight.stop()
        self._pacer.close()
        for timer in (*self._timers, self._turn):
            if timer is not None:
                timer.cancel()
        self._link.close()
