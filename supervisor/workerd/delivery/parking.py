"""Parking: messages that are due later than a horizon wait in the broker, not here.

So do, for a while and then again, those whose turn under a rate limit is far away.

A message that the source cannot keep now (its broker is being prepared, or its queue's name is too long)
waits here like one that is due soon, and is looked at again each second.

Messages that are parked take no slot, nor do those that wait for their turn under a rate limit.  So when all
that came was such, more is asked for at once: the *bonus*.  What then came beside them and is more than the
slots will start soon goes back to its queue.

Units: seconds; ``eta`` is Unix time.
"""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING

from workerd.delivery.request import Request, Settlement, Stage, Verdict

if TYPE_CHECKING:
    from workerd.delivery.dispatcher import Dispatcher

HORIZON = 60.0
"""Due later than this, it is parked."""

AGAIN = 1.0
"""Between two looks at what could not be parked."""

AWAY = 30.0
"""What waits for a turn under a rate limit that is far away waits in the broker for so long, at least."""

SEEN_AGAIN = 100
"""Messages a second that come again from there, about."""

MOST_BONUS = 100
MOST_PENDING = 1000
"""Messages that are on their way to where they wait; no more are fetched then."""

PARK = Verdict(Settlement.PARK)


class Parking:
    """Leaves to the broker what is due beyond ``horizon``, for one dispatcher."""

    def __init__(self, dispatcher: Dispatcher, horizon: float) -> None:
        self.dispatcher, self.horizon = dispatcher, horizon
        self.bonus: Counter[str] = Counter()
        """Messages to ask for beyond what the slots need, by pool."""
        self._pending: set[int] = set()
        self._far: dict[int, Request] = {}  # due beyond the horizon, and here nevertheless
        self._came: Counter[str] = Counter()  # in this batch, by pool
        self._elsewhere: Counter[str] = Counter()  # of these, what waits for no slot
        self._timer_runs = self._growing = False
        self._calms = False  # a timer will take the bonus back
        dispatcher.settler.on_refused, dispatcher.settler.on_parked = self._refused, self._confirmed

    @property
    def full(self) -> bool:
        """Nothing more should come for now."""
        return len(self._pending) >= MOST_PENDING

    def take(self, request: Request) -> bool:
        """Leave it to the broker; False when it has to wait here, or not at all."""
        self._came[request.pool] = self._came.get(request.pool, 0) + 1
        if request.message.eta is None or not self._is_far(request):
            return False
        if not self._can(request):
            self._keep(request)
            return False
        self.takes_no_slot(request)
        self._park(request)
        return True

    def send_away(self, request: Request) -> bool:
        """Leave one that waits for its turn to the broker for a while; False when it has to wait here.

        Many stay away for longer, so that seeing them again costs the same.
        """
        source = self.dispatcher.settler.source
        if source is None or self.full:
            return False
        longest = max(AWAY, source.parked / SEEN_AGAIN)
        request.delivery.until = self.dispatcher.clock.wall() + random.uniform(0.5, 1.0) * longest
        if not self._can(request):
            request.delivery.until = 0.0
            return False
        self.takes_no_slot(request)
        self._park(request)
        return True

    def takes_no_slot(self, request: Request) -> None:
        """It has come, and waits for something else than a slot."""
        self._elsewhere[request.pool] += 1

    def batch_ended(self) -> None:
        """All that came at once has been taken."""
        for pool, came in self._came.items():
            if came == self._elsewhere.get(pool, 0):
                self.bonus[pool] = min(max(self.bonus[pool], came) * 2, MOST_BONUS)
                self._growing = True
                self._calm_later()
            elif self.bonus.pop(pool, 0):
                self._return_excess(pool)
        self._came.clear()
        self._elsewhere.clear()

    def _calm_later(self) -> None:
        if not self._calms:
            self._calms = True
            self.dispatcher.timer.call_after(AGAIN, self._calm, (), priority=6)

    def _calm(self) -> None:
        """What comes after a pause need not be parked too."""
        self._calms, growing, self._growing = False, self._growing, False
        if growing:
            self._calm_later()
        elif self.bonus:
            self.bonus.clear()
            self.dispatcher.pump()

    def _return_excess(self, pool: str) -> None:
        desk = self.dispatcher
        for request in desk.lanes[pool].excess():
            desk.give_back(request, "more than its slots will start soon came with messages that wait")
        desk.lanes[pool].keep_only_held()

    # -- where it waits ------------------------------------------------------------------------

    def _is_far(self, request: Request) -> bool:
        eta = request.message.eta
        return eta is not None and eta > self.dispatcher.clock.wall() + self.horizon

    def _can(self, request: Request) -> bool:
        source = self.dispatcher.settler.source
        return source is not None and request.linked and source.can_park(request.delivery)

    def _park(self, request: Request) -> None:
        desk = self.dispatcher
        desk.cancel_timer(request)
        desk.narrator.parked(request)
        self._pending.add(request.number)
        desk.settler.decide(request, PARK)

    def _confirmed(self, request: Request) -> None:
        was_full = self.full
        self._pending.discard(request.number)
        if was_full:
            self.dispatcher.pump()

    def _refused(self, request: Request) -> None:
        """The broker does not keep it, after all."""
        desk = self.dispatcher
        self._pending.discard(request.number)
        if request.verdict is not PARK or desk.table.get(request.number) is not request:
            return
        request.verdict, request.delivery.until = None, 0.0
        if desk.draining:
            desk.give_back(request, "the daemon is stopping")
        else:
            if self._is_far(request):
                self._keep(request)
            desk.schedule(request)
            desk.lane_of(request).pump()

    # -- what has to wait here -----------------------------------------------------------------

    def _keep(self, request: Request) -> None:
        self._far[request.number] = request
        self._look_later()

    def _look_later(self) -> None:
        if not self._timer_runs:
            self._timer_runs = True
            self.dispatcher.timer.call_after(AGAIN, self._look_again, (), priority=6)

    def _look_again(self) -> None:
        self._timer_runs = False
        for number, request in list(self._far.items()):
            if not self._waits_here(request) or not self._is_far(request):
                del self._far[number]
            elif not self.full and self._can(request):
                del self._far[number]
                self._park(request)
        if self._far:
            self._look_later()

    def _waits_here(self, request: Request) -> bool:
        here = self.dispatcher.table.get(request.number) is request
        return here and request.stage is Stage.SCHEDULED

    def link_lost(self) -> None:
        """What was on its way is decided again, over the next link or when it comes once more."""
        self._pending = {n for n in self._pending if self.dispatcher.table.get(n) is not None}
