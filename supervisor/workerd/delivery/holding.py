"""Holding: for how long a message may be here unsettled, on a broker that sets a time for that (RabbitMQ).

There a message that is not settled within ``consumer_timeout`` costs the channel, and with it everything
that is held.  So near that time what runs is *adopted*: its message is written to the state database, for
good, and acknowledged.  From then on this node alone has it: where it was to be given back it is published
anew, and should the supervisor die, its successor does that with all that it finds.

What only waits is given back: for a slot after ``PATIENCE``, so that others may run it, and before the
time is up in any case.

Units: seconds of the monotonic clock.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import msgspec

from workerd.delivery.outcome import GIVE_BACK
from workerd.delivery.request import NOT_BEGUN, Request, Stage, TaskOptions

if TYPE_CHECKING:
    from workerd.delivery.dispatcher import Dispatcher
    from workerd.source.base import Delivery

SHARE = 0.8
"""Of the broker's time, after which a run is adopted."""

PATIENCE = 60.0
"""How long a message may wait for a slot here; the estimate by which it was fetched has been wrong then."""

AGAIN = 1.0
"""Until the next try, where the state database could not be written."""

RUNS = frozenset({Stage.RUNNING, Stage.STORING})


RESOLUTION = 0.2
"""Between two looks at the least, however many messages there are."""


class Adopted(NamedTuple):
    """What outlives a supervisor of a message that is not with the broker any more."""

    key: bytes
    queue: str
    payload: bytes


class Shelf(Protocol):
    """Keeps what is adopted.  Nothing here raises."""

    def put(self, adopted: Sequence[Adopted]) -> bool:
        """True once all of them would outlive a loss of power; waits for the disk."""

    def remove(self, key: bytes) -> None:
        """Its fate is settled."""


class Holding:
    """For one dispatcher; nothing is adopted before ``adopt_in``."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self.dispatcher = dispatcher
        self.shelf: Shelf | None = None
        self._adopt_after, self._patience = math.inf, PATIENCE
        self._timer: Any = None
        self._next = 0.0

    def adopt_in(self, shelf: Shelf, consumer_timeout: float) -> None:
        """``consumer_timeout`` is the broker's time, 0 where it has none."""
        self.shelf = shelf
        self._adopt_after = (consumer_timeout or math.inf) * SHARE
        self._patience = min(PATIENCE, self._adopt_after / 2)

    # -- what is held too long ---------------------------------------------------------------------

    def watch(self) -> None:
        """Something has come: look at it in time."""
        desk = self.dispatcher
        due = desk.clock.now() + self._patience
        if desk.settler.takes_back and (self._timer is None or due < self._next):
            self._look_at(due)

    def _look_at(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._next = when
        delay = max(when - self.dispatcher.clock.now(), 0.0)
        self._timer = self.dispatcher.timer.call_after(delay, self._look, (), priority=6)

    def _look(self) -> None:
        self._timer = None
        desk, now = self.dispatcher, self.dispatcher.clock.now()
        if not desk.settler.takes_back:
            return
        due = [request for request in desk.table if self._deadline(request) <= now]
        self._give_back([request for request in due if request.stage in NOT_BEGUN])
        kept = self._adopt([request for request in due if request.stage in RUNS])
        soonest = min((self._deadline(request) for request in desk.table), default=math.inf)
        if soonest < math.inf:
            self._look_at(max(soonest, now + (RESOLUTION if kept else AGAIN)))

    def _deadline(self, request: Request) -> float:
        """When something must be done about it; never for what the broker does not wait for."""
        delivery = request.delivery
        held = request.linked and not request.acknowledged and not delivery.adopted
        if not held or self.dispatcher.settler.source is None:
            return math.inf
        last = delivery.came + self._adopt_after
        if request.stage is Stage.RESERVED and not request.deaths:
            # What was due later has waited for a slot only since then.
            due = max((request.message.eta or 0.0) - request.received, 0.0)
            return min(delivery.came + due + self._patience, last)
        return last if request.stage in RUNS or request.stage in NOT_BEGUN else math.inf

    def _give_back(self, requests: Iterable[Request]) -> None:
        desk = self.dispatcher
        for request in requests:
            waited = desk.clock.now() - request.delivery.came
            if request.stage is Stage.RESERVED:
                # Else as much would be fetched again at once.
                desk.lane_of(request).prefetch.record(waited)
            desk.cancel_timer(request)
            desk.give_back(request, f"it has waited here for {waited:.0f} s")
        for lane in desk.lanes.values():
            lane.keep_only_held()
        desk.pump()

    # -- adoption ----------------------------------------------------------------------------------

    def _adopt(self, requests: Sequence[Request]) -> bool:
        """False when they could not be written: then the broker keeps them as long as it likes."""
        desk = self.dispatcher
        if not requests or self.shelf is None:
            return not requests
        records = [
            Adopted(secrets.token_bytes(16), request.delivery.queue, request.message.payload)
            for request in requests
        ]
        if not self.shelf.put(records):
            return False
        for request, record in zip(requests, records, strict=True):
            desk.totals.adopted += 1
            desk.narrator.adopted(request, desk.clock.now() - request.delivery.came)
            desk.settler.adopt(request, _adopted(request.delivery, record.key))
        return True

    def restore(self, records: Iterable[tuple[bytes, Delivery]]) -> None:
        """A supervisor that died had adopted these: give them back as soon as there is a link."""
        desk = self.dispatcher
        for key, delivery in records:
            assert delivery.message is not None
            lane, tally = desk.lane_of_queue(delivery.queue), desk.deaths.of(delivery)
            request = Request(
                number=desk.table.next_number(),
                delivery=_adopted(delivery, key),
                message=delivery.message,
                options=TaskOptions(),
                received=desk.clock.wall(),
                pool=lane.name,
                deaths=tally.deaths,
            )
            desk.table.add(request)
            desk.narrator.inherited(request, desk.deaths.most)
            desk.settler.decide(request, GIVE_BACK)

    def forgotten(self, request: Request) -> None:
        """Its end is settled."""
        if self.shelf is not None:
            self.shelf.remove(request.delivery.tag[1])


def _adopted(delivery: Delivery, key: bytes) -> Delivery:
    return msgspec.structs.replace(delivery, tag=("adopted", key), adopted=True)
