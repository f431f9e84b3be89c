"""``RedisSource``: task queues in Redis without a moment in which a message is nowhere.

One script moves messages from the lists into the in-flight store that kombu's workers share, so
whoever dies, the message is in one of the two.  An idle node is woken by the server (CLIENT TRACKING):
a look that comes back short is followed by one whose pipeline also asks whether the lists exist, which
makes the server tell of their next change.  A look each second is the net under that, and
the only way where the server refuses tracking; what else an idle node asks and says goes out with it.

Units:   seconds.
Errors:  UnavailableError from ``start``; after that, the loss of the link through ``on_lost`` alone.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, tzinfo
from functools import partial
from typing import Any

from workerd.clock import Clock
from workerd.errors import UnavailableError
from workerd.protocol.dead import Letter
from workerd.source.base import Counted, Delivery, Done
from workerd.source.owner import Owner
from workerd.source.redis.backlog import ask_backlog
from workerd.source.redis.calls import Calls
from workerd.source.redis.chores import Chores
from workerd.source.redis.delayed import Delayed
from workerd.source.redis.envelopes import delivery_of
from workerd.source.redis.group import Group
from workerd.source.redis.groups import Groups
from workerd.source.redis.inflight import InFlight
from workerd.source.redis.keys import Keys
from workerd.source.redis.looks import Looks
from workerd.source.redis.notes import Notes
from workerd.source.redis.others import Others
from workerd.source.redis.owner import new_prefix
from workerd.source.redis.pacer import Pacer
from workerd.source.redis.recovery import Recovery
from workerd.source.redis.returns import Returns
from workerd.source.redis.settlements import Settlements
from workerd.transport.address import RedisAddress
from workerd.transport.loop import Cancelable, Loop
from workerd.transport.redis import RedisLink

GAP = 0.002
"""Rest after each script that touches the in-flight store, which makes 500 a second."""

VISIBILITY = 3600.0
"""kombu's default."""

NET = 1.0
"""Between two looks of an idle node that nothing has woken."""


class RedisSource:
    """A ``TaskSource`` over one link; tags are ``<owner>:<random>.<number>`` and never used twice."""

    survives_link = True

    def __init__(
        self,
        address: RedisAddress,
        keys: Keys,
        loop: Loop,
        *,
        owner: Owner,
        clock: Clock,
        zone: tzinfo = UTC,
        strict: Collection[str] = (),
        visibility: float = VISIBILITY,
    ) -> None:
        """``strict`` are the groups whose queues are served in their order, and not in turn; ``visibility``
        is how long Celery's workers may hold a message."""
        self._strict = strict
        self._loop, self._keys, self._owner = loop, keys, owner
        self._link = RedisLink(loop, address, on_lost=self._lost, on_push=self._pushed)
        calls = self._calls = Calls(self._link)
        self._chores = Chores(loop, clock)
        self._inflight = InFlight(calls, keys, owner, clock, self._gone)
        self._notes = Notes(calls, keys, owner.name, loop)
        self._settlements = Settlements(calls, keys, loop, self._inflight, self._notes, self._gone)
        self._read = partial(delivery_of, zone=zone)
        self._recovery = Recovery(calls, keys, self._read)
        self._groups = Groups(self._make_group)
        self._pacer = Pacer(loop, clock, GAP, self._round)
        self._returns = Returns(calls, self._pacer.ask, self._groups.look_anyway)
        self._delayed = Delayed(calls, keys, loop, self._pacer.ask, self._groups.look_anyway)
        self._others = Others(self._recovery, self._returns, owner, clock, visibility)
        self._timers: list[Cancelable] = []
        self._recovered = self._closed = False

    @property
    def sure_until(self) -> float:
        return self._inflight.sure_until

    @property
    def parked(self) -> int:
        return self._delayed.count

    @property
    def pending(self) -> int:
        return self._settlements.pending + self._groups.looking

    def start(
        self,
        groups: Mapping[str, Sequence[str]],
        on_deliveries: Callable[[list[Delivery]], None],
        on_lost: Callable[[str], None],
        known: Collection[Any],
        on_gone: Callable[[list[Any]], None],
    ) -> None:
        """Connect, declare and recover; blocks for 5 s at most while the server is silent.

        Raises UnavailableError when the server cannot be reached or refuses.
        """
        failures: list[str] = []
        self._on_deliveries, self._on_lost = on_deliveries, failures.append
        self._known, self._on_gone = known, on_gone
        self._link.connect()
        for name, queues in groups.items():
            for queue in queues:
                self.add_queue(name, queue)
        self._inflight.add(known)
        self._inflight.start(self._chores)
        self._notes.start(known)
        self._delayed.ask()
        self._delayed.flush()
        # Recovery reads the in-flight store; tracking begins after it, so that the store is not tracked.
        self._recover()
        self._link.drain()
        if failures:
            raise UnavailableError(failures[0])
        self._on_lost = on_lost
        self._timers = [
            self._loop.call_later(self._owner.lease / 3, self._recover),
            self._loop.call_repeatedly(NET * random.uniform(0.9, 1.1), self._net),
        ]
        if self._link.protocol >= 3:
            self._calls.attempt([("CLIENT", "TRACKING", "ON", "NOLOOP")], self._groups.tracked)
        self._recovered = True
        self._others.start(self._chores)
        self._pacer.ask()

    def fetch(self, group: str, room: int) -> None:
        self._groups[group].fetch(room)

    def drain(self) -> None:
        self._groups.drain()

    def backlog(self, queues: Sequence[str], then: Counted) -> None:
        ask_backlog(self._calls, self._keys, queues, then)

    def wait(self) -> None:
        self._groups.wait()

    def settle(self, deliveries: Sequence[Delivery], then: Done | None = None) -> None:
        if deliveries:
            self._settlements.settle(deliveries, then)
            if not self._pacer.asked:
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
        self._groups.look_anyway()

    def put_aside(self, delivery: Delivery, letter: Letter, then: Done | None = None) -> None:
        self._settlements.put_aside(delivery, letter, then)
        self._pacer.ask()

    def can_park(self, delivery: Delivery) -> bool:
        return delivery.due is not None and self._delayed.can_park(delivery.due)

    def park(self, delivery: Delivery, then: Done, refused: Done) -> None:
        self._settlements.park(delivery, then)
        self._pacer.ask()

    def note(self, delivery: Delivery, deaths: int) -> None:
        self._notes.note(delivery, deaths)

    def add_queue(self, group: str, name: str) -> None:
        if self._groups[group].looks.add(name):
            # Producers do the same; a server that is out of memory may refuse it.
            self._calls.attempt([("SADD", *binding) for binding in self._keys.bindings(name)])
            self._groups[group].wait()

    def cancel_queue(self, name: str) -> None:
        self._groups.remove_queue(name)

    def info(self) -> Mapping[str, Any]:
        return {
            "kind": "redis",
            "url": self._link.address.shown,
            "up": self._link.up,
            "queues": self._groups.queues,
            "wakes_by": "push" if self._groups.tracking else "poll",
            "in_flight": len(self._inflight),
            "pending": self.pending,
            "room": self._groups.rooms,
        }

    def close(self) -> None:
        if not self._closed:
            self._settlements.flush()
            if not self.pending and not self._inflight:
                self._inflight.release()
            self._leave()

    # -- looking -------------------------------------------------------------------------------

    def _make_group(self, name: str, tracking: bool) -> Group:
        # Tags are never used twice, so each group has numbers of its own behind a prefix of its own.
        prefix = new_prefix(self._owner.name)
        looks = Looks(self._calls, self._keys, self._inflight, prefix, self._read)
        looks.tracking, looks.strict = tracking, name in self._strict
        return Group(self._loop, looks, self._pacer.ask, self._pacer.ask_at_once, self._hand_over)

    def _round(self) -> int:
        if not self._link.up:  # before start
            return 0
        with self._link.together():
            scripts = self._settlements.flush() + self._returns.flush()
            self._delayed.flush()
            self._chores.flush()
            if self._recovered:
                scripts += self._groups.look()
        return scripts

    def _pushed(self, push: list[Any]) -> None:
        self._groups.pushed(push)

    def _net(self) -> None:
        self._delayed.ask()
        self._groups.look_anyway()

    # -- recovering ----------------------------------------------------------------------------

    def _recover(self) -> None:
        for predecessor in self._owner.predecessors:
            if predecessor != self._owner.name:
                self._recovery.all(predecessor, self._inherit)
        # Page by page: what is settled before the last page came must not look like a stranger.
        self._recovery.pages(self._owner.name, self._take_over)

    def _inherit(self, found: list[Delivery]) -> None:
        for delivery in found:
            delivery.deaths = self._owner.deaths(delivery)
        if found:
            self._settlements.give_back(found, None)
            self._settlements.flush()

    def _take_over(self, found: list[Delivery]) -> None:
        strangers = [d for d in found if d.tag not in self._inflight and d.tag not in self._known]
        self._inflight.add(delivery.tag for delivery in found)
        if strangers:
            # Not from inside start: who is told may not be ready to settle.
            self._loop.call_soon(self._hand_over, strangers)

    def _gone(self, tags: list[str]) -> None:
        self._notes.forget(tags)
        if not self._closed:
            self._on_gone(tags)

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
        self._notes.stop()
        self._settlements.stop()
        self._delayed.stop()
        self._chores.stop()
        self._pacer.close()
        for timer in self._timers:
            timer.cancel()
        self._groups.stop()
        self._link.close()
