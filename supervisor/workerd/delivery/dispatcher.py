"""The dispatcher: deliveries in, jobs to the pool, verdicts to the broker.

It outlives every link and every generation of children, so that a run goes on while either changes.
What has not started waits here, in the lane of its pool, never at a child, until a slot is free.

Units: ``eta`` and ``received`` are Unix time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from workerd.config.model import DEFAULT_POOL
from workerd.delivery.aftermath import Aftermath
from workerd.delivery.dead import DeadRoom
from workerd.delivery.deaths import Deaths
from workerd.delivery.events import Both
from workerd.delivery.failures import Failures
from workerd.delivery.holding import Holding
from workerd.delivery.intake import Intake
from workerd.delivery.lane import Lane
from workerd.delivery.limits import LiveLimits
from workerd.delivery.narrator import Narrator
from workerd.delivery.orders import Orders
from workerd.delivery.outcome import DONE, GIVE_BACK
from workerd.delivery.parking import HORIZON, Parking
from workerd.delivery.rates import Rates
from workerd.delivery.request import NOT_BEGUN, Request, Stage
from workerd.delivery.revokes import Revokes
from workerd.delivery.runs import Runs
from workerd.delivery.settler import Settler
from workerd.delivery.table import Table
from workerd.delivery.takeovers import Takeovers
from workerd.delivery.totals import Totals

if TYPE_CHECKING:
    from workerd.backends.writer import ResultWriter
    from workerd.clock import Clock
    from workerd.delivery.events import TaskEvents
    from workerd.source.base import Delivery, TaskSource

MOST_HELD = 10_000
"""Messages that this node holds at most, those included that wait for their ETA or for the backend."""

UNFINISHED = NOT_BEGUN | {Stage.ACKNOWLEDGING, Stage.RUNNING}


class Dispatcher:
    """Holds the table, and a lane for each pool.

    ``intake`` makes requests of deliveries, ``runs`` takes over what a pool has.  ``queues`` gives the
    queues of each pool by its name, the default pool first; what is due in more than ``horizon`` seconds
    waits in the broker.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        timer: Any,
        hostname: str,
        max_crashes: int = 3,
        horizon: float = HORIZON,
        queues: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self.clock, self.timer, self.hostname = clock, timer, hostname
        self.table, self.totals, self.narrator = Table(), Totals(), Narrator()
        self.rates = Rates(clock, self._rate_changed)
        queues = queues or {DEFAULT_POOL: ()}
        self.lanes = {name: Lane(self, name, names) for name, names in queues.items()}
        self.hold_at_most(0)
        self._lane_of_queue = {queue: lane for lane in self.lanes.values() for queue in lane.queues}
        self.deaths = Deaths(max_crashes)
        self.dead_room = DeadRoom(hostname, clock, self.totals, self.narrator)
        self.settler = Settler(self.table, self.dead_room, self.deaths, clock, timer, self.check_idle)
        self.failures, self.aftermath = Failures(), Aftermath(self)
        self.failures.aftermath = self.aftermath
        self.intake, self.runs, self.parking = Intake(self), Runs(self), Parking(self, horizon)
        self.limits, self.orders, self.takeovers = LiveLimits(), Orders(self), Takeovers(self)
        self.revokes = Revokes(clock)
        self.receivers: TaskEvents | None = None
        """The app's own, who are told in any case."""
        self.events: TaskEvents | None = None
        """All who are told what happens to tasks."""
        self.holding = Holding(self)
        self.settler.on_forgotten = self.holding.forgotten
        self.draining = False
        self.paused = ""
        """Why nothing more is fetched for now; empty while it is."""
        self.on_work: Callable[[], None] = _nothing
        """Called when a run begins."""
        self.on_idle: Callable[[], None] | None = None

    @property
    def results(self) -> ResultWriter | None:
        """Where results go; the failures found here go the same way."""
        return self.failures.results

    def tell(self, events: TaskEvents | None) -> None:
        """Tell the cluster what happens to tasks through ``events`` from now on; None: not any more."""
        if events is not None and self.receivers is not None:
            events = Both(events, self.receivers)
        self.events = self.failures.events = events or self.receivers

    def tell_app(self, receivers: TaskEvents) -> None:
        """Tell ``receivers`` what happens to tasks, whoever else is told."""
        self.receivers = receivers
        self.tell(None)

    # -- the lanes -----------------------------------------------------------------------------

    @property
    def default(self) -> Lane:
        """The lane of the default pool."""
        return next(iter(self.lanes.values()))

    def lane_of_queue(self, queue: str) -> Lane:
        """Whose work the messages of ``queue`` are; the default pool's when nobody consumes it any more."""
        return self._lane_of_queue.get(queue) or self.default

    def belongs(self, queue: str, lane: Lane) -> None:
        """The messages of ``queue`` are work of this lane's pool."""
        self._lane_of_queue[queue] = lane

    def lane_of(self, request: Request) -> Lane:
        """The lane of the pool that runs this request."""
        return self.lanes[request.pool]

    def hold_at_most(self, count: int) -> None:
        """Hold no more messages than that, an equal share for each pool; 0 for ``MOST_HELD``."""
        self.most_held = count or MOST_HELD
        for lane in self.lanes.values():
            lane.most_held = max(self.most_held // len(self.lanes), 1)
        self.pump()

    def pump(self) -> None:
        """Start what can start, in every lane, and ask for as much as there is room for."""
        for lane in self.lanes.values():
            lane.pump()

    def start(self) -> None:
        """Start what can start, in every lane."""
        for lane in self.lanes.values():
            lane.start()

    def _rate_changed(self, task: str) -> None:
        for lane in self.lanes.values():
            lane.turnstile.changed(task)

    # -- the link ------------------------------------------------------------------------------

    def attach(self, source: TaskSource) -> None:
        """Messages come from ``source`` now."""
        self.settler.attach(source)
        for request in self.table.in_stage(Stage.ACKNOWLEDGING):
            self.lane_of(request).acknowledge(request)
        self.pump()

    def detach(self) -> None:
        """The link is lost; what runs goes on."""
        for request in self.settler.detach():
            self.cancel_timer(request)
            if request.stage is Stage.ACKNOWLEDGING:
                self.lane_of(request).unsure(request)
        self.parking.link_lost()
        for lane in self.lanes.values():
            lane.keep_only_held()

    def on_deliveries(self, deliveries: list[Delivery]) -> None:
        """Take what the source has fetched; what cannot be run is put aside, never dropped."""
        self.narrator.look()
        self.intake.take_all(deliveries)
        self.parking.batch_ended()
        self.holding.watch()
        self.pump()
        self.check_idle()

    def reserve(self, request: Request) -> None:
        """It waits for a slot from here on, or for its ETA first, in the broker if that is far."""
        if self.draining:
            self.give_back(request, "the daemon is stopping")
        elif not self.parking.take(request):
            self.schedule(request)

    def schedule(self, request: Request) -> None:
        """It waits here, for its ETA if that is to come."""
        eta = request.message.eta
        if eta is not None and eta > self.clock.wall():
            request.stage = Stage.SCHEDULED
            delay = eta - self.clock.wall()
            request.timer = self.timer.call_after(delay, self.due, (request,), priority=6)
            return
        request.stage = Stage.RESERVED
        self.lanes[request.pool].line_up(request)

    def due(self, request: Request) -> None:
        """It waits for its ETA no more."""
        if request.stage is not Stage.SCHEDULED:
            return
        self.cancel_timer(request)
        request.stage = Stage.RESERVED
        lane = self.lane_of(request)
        lane.line_up(request)
        lane.pump()

    # -- the end -------------------------------------------------------------------------------

    def drain(self, on_idle: Callable[[], None]) -> None:
        """Take no more, give back what has not started; ``on_idle`` once nothing is left here."""
        self.on_idle = on_idle
        self._take_no_more()
        self.check_idle()

    def kill(self) -> None:
        """From now on a run that its child's death cuts off is given back, not run again."""
        self.runs.killing = True
        self._take_no_more()

    def give_back_all(self, why: str) -> None:
        """The last resort: whatever has no verdict yet goes back."""
        for request in self.table:
            if request.verdict is None and request.stage in UNFINISHED:
                self.give_back(request, why)

    def requeue(self, request: Request) -> None:
        """It has not run, or its run was cut off: it is the next to start here."""
        request.stage = Stage.RESERVED
        request.admitted = request.admitted and request.time_start is None  # what has run takes another turn
        self.settler.ended(request)
        request.worker_pid = request.time_start = None
        if request.taken:
            self.takeovers.forget(request)
        elif request.unwanted and request.epitaph is None:
            self.orders.revoke(request)
        elif self.draining and not request.acknowledged:
            self.give_back(request, "the daemon is stopping")
        else:
            self.lane_of(request).ready.appendleft(request)

    def _take_no_more(self) -> None:
        self.draining = True
        self.deaths.calm()
        self.settler.note_all()
        if self.settler.source is not None:
            self.settler.source.drain()
        for request in self.table:
            if request.stage in NOT_BEGUN and not request.acknowledged:
                self.cancel_timer(request)
                self.give_back(request, "the daemon is stopping")
        for lane in self.lanes.values():
            lane.keep_only_held()

    def give_back(self, request: Request, why: str) -> None:
        """Return it to its queue; one that was acknowledged early cannot be, so its result says so."""
        if request.acknowledged:
            self.narrator.cut_off(request, why)
            request.stage = Stage.STORING
            text = f"acknowledged before it ran, and {why}"
            self.failures.internal(request, text, partial(self.settler.decide, request, DONE))
            return
        self.narrator.given_back(request, why)
        self.totals.given_back += 1
        self.settler.decide(request, GIVE_BACK)

    def cancel_timer(self, request: Request) -> None:
        """It waits for its ETA no more."""
        if request.timer is not None:
            request.timer.cancel()
            request.timer = None

    @property
    def unfinished(self) -> int:
        """Runs and waiting messages; what only waits for the broker is not among them."""
        return sum(request.stage in UNFINISHED for request in self.table)

    @property
    def unsettled(self) -> int:
        """What the broker or the backend has not confirmed."""
        pending = sum(part.pending for part in (self.settler.source, self.results) if part is not None)
        if self.settler.source is None:
            pending += self.table.redeliveries.untold
        return pending + sum(r.stage in (Stage.STORING, Stage.SETTLING) for r in self.table)

    def check_idle(self) -> None:
        """While draining: call ``on_idle`` once nothing is left here."""
        if self.draining and self.on_idle is not None and not len(self.table) and not self.unsettled:
            on_idle, self.on_idle = self.on_idle, None
            on_idle()


def _nothing() -> None:
    """Nobody wants to know."""
