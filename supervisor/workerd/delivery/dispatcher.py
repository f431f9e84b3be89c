"""The dispatcher: deliveries in, jobs to the pool, verdicts to the broker.

It outlives every link and every generation of children, so that a run goes on while either changes.
What has not started waits here, never at a child, until a slot is free.

Units: ``eta``, ``expires`` and ``received`` are Unix time; limits are seconds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from workerd.delivery.failures import Failures
from workerd.delivery.intake import Intake
from workerd.delivery.narrator import Narrator
from workerd.delivery.outcome import DONE, GIVE_BACK
from workerd.delivery.prefetch import Prefetch
from workerd.delivery.request import Request, Settlement, Stage, TaskOptions, Verdict
from workerd.delivery.runs import Runs
from workerd.delivery.settler import Settler
from workerd.delivery.table import Table
from workerd.delivery.totals import Totals
from workerd_pool import Job

if TYPE_CHECKING:
    from workerd.backends.writer import ResultWriter
    from workerd.clock import Clock
    from workerd.source.base import Delivery, TaskSource
    from workerd_pool import Pool

MOST_HELD = 10_000
"""Messages that this node holds at most, those included that wait for their ETA or for the backend."""

UNFINISHED = frozenset({Stage.SCHEDULED, Stage.RESERVED, Stage.ACKNOWLEDGING, Stage.RUNNING})


class Dispatcher:
    """Holds the table and the queue of what is ready.

    ``intake`` makes requests of deliveries, ``runs`` takes over what the pool has.
    """

    def __init__(self, *, clock: Clock, timer: Any, hostname: str, max_crashes: int = 3) -> None:
        self.clock, self.timer, self.hostname = clock, timer, hostname
        self.table, self.totals, self.narrator = Table(), Totals(), Narrator()
        self.prefetch = Prefetch()
        self.settler = Settler(self.table, clock, self.check_idle)
        self.failures = Failures()
        self.ready: deque[Request] = deque()
        self.tasks: Mapping[str, TaskOptions] = {}
        self.pool: Pool | None = None
        self.intake, self.runs = Intake(self), Runs(self, max_crashes)
        self._acknowledging: set[int] = set()  # requests that speak for a slot each
        self.growth = 0
        """Slots that the pool may still grow by: what would fill them is worth holding."""
        self.draining = False
        self.on_idle: Callable[[], None] | None = None

    @property
    def results(self) -> ResultWriter | None:
        """Where results go; the failures found here go the same way."""
        return self.failures.results

    # -- the link ------------------------------------------------------------------------------

    def attach(self, source: TaskSource) -> None:
        """Messages come from ``source`` now."""
        self.settler.attach(source)
        for request in self.table.in_stage(Stage.ACKNOWLEDGING):
            self._acknowledge(request)
        self.pump()

    def detach(self) -> None:
        """The link is lost; what runs goes on."""
        for request in self.settler.detach():
            self._cancel_timer(request)
            if request.stage is Stage.ACKNOWLEDGING:
                self._acknowledging.discard(request.number)
                self.narrator.unsure(request)
        self.ready = deque(request for request in self.ready if self.table.get(request.number) is request)

    def on_deliveries(self, deliveries: list[Delivery]) -> None:
        """Take what the source has fetched; what cannot be run is put aside, never dropped."""
        for delivery in deliveries:
            self.intake.take(delivery)
        self.pump()
        self.check_idle()

    def reserve(self, request: Request) -> None:
        """It waits for a slot from here on, or for its ETA first."""
        if self.draining:
            self.give_back(request, "the daemon is stopping")
            return
        eta = request.message.eta
        if eta is not None and eta > self.clock.wall():
            request.stage = Stage.SCHEDULED
            delay = eta - self.clock.wall()
            request.timer = self.timer.call_after(delay, self._due, (request,), priority=6)
            return
        self.ready.append(request)

    def _due(self, request: Request) -> None:
        request.timer, request.stage = None, Stage.RESERVED
        self.ready.append(request)
        self.pump()

    # -- to the pool ---------------------------------------------------------------------------

    def pump(self) -> None:
        """Start what can start, then ask the source for as much as there is room for."""
        pool = self.pool
        if pool is None:
            return
        waiting: deque[Request] = deque()
        while self.ready and pool.free > len(self._acknowledging):
            request = self.ready.popleft()
            if not self._start(request, pool):
                waiting.append(request)
        self.ready.extendleft(reversed(waiting))
        source = self.settler.source
        if source is not None and not self.draining:
            source.fetch(self._room(pool))

    def _room(self, pool: Pool) -> int:
        """How many messages more this node should hold."""
        if len(self.table) >= MOST_HELD:
            return 0
        free = max(pool.free - len(self._acknowledging), 0)
        return self.prefetch.room(slots=pool.alive, free=free, reserved=len(self.ready), growth=self.growth)

    def _start(self, request: Request, pool: Pool) -> bool:
        """Give the request to the pool, or settle why not; False when it must wait for a link."""
        message = request.message
        if message.expires is not None and message.expires <= self.clock.wall():
            self.narrator.expired(request)
            self.totals.expired += 1
            request.stage = Stage.STORING
            self.failures.expired(request, partial(self.settler.decide, request, DONE))
            return True
        options = self.tasks.get(message.task)
        if options is None:
            self._unknown(request)
            return True
        request.options = options
        if not options.acks_late and not request.acknowledged:
            return self._acknowledge(request)
        request.stage = Stage.RUNNING
        pool.submit(self._job(request))
        return True

    def _acknowledge(self, request: Request) -> bool:
        """At most once: the broker forgets the message before it is started."""
        source = self.settler.source
        if source is None:
            return False
        request.stage = Stage.ACKNOWLEDGING
        self._acknowledging.add(request.number)
        source.settle([request.delivery], partial(self._acknowledged, request))
        return True

    def _acknowledged(self, request: Request) -> None:
        self._acknowledging.discard(request.number)
        request.acknowledged, request.stage = True, Stage.RESERVED
        self.ready.appendleft(request)
        self.pump()

    def _job(self, request: Request) -> Job:
        hard, soft = request.message.timelimit
        return Job(
            id=request.number,
            header={
                "hostname": self.hostname,
                "queue": request.delivery.queue,
                "redelivered": request.delivery.redelivered or request.deaths > 0,
                "deaths": request.deaths,
            },
            body=request.message.payload,
            soft_limit=soft if soft is not None else request.options.soft_time_limit,
            hard_limit=hard if hard is not None else request.options.time_limit,
            title=request.title,
        )

    def _unknown(self, request: Request) -> None:
        self.narrator.unknown(request)
        self.totals.put_aside += 1
        request.stage = Stage.STORING
        fate = Verdict(Settlement.PUT_ASIDE, f"unregistered task {request.message.task}")
        self.failures.unregistered(request, partial(self.settler.decide, request, fate))

    # -- the end -------------------------------------------------------------------------------

    def drain(self, on_idle: Callable[[], None]) -> None:
        """Take no more, give back what has not started; ``on_idle`` once nothing is left here."""
        self.on_idle = on_idle
        self.draining = True
        if self.settler.source is not None:
            self.settler.source.fetch(0)
        self._give_back_waiting()
        self.check_idle()

    def kill(self) -> None:
        """From now on a run that its child's death cuts off is given back, not run again."""
        self.draining = self.runs.killing = True
        self._give_back_waiting()

    def give_back_all(self, why: str) -> None:
        """The last resort: whatever has no verdict yet goes back."""
        for request in self.table:
            if request.verdict is None and request.stage in UNFINISHED:
                self.give_back(request, why)

    def requeue(self, request: Request) -> None:
        """It has not run, or its run was cut off: it is the next to start here."""
        request.stage = Stage.RESERVED
        request.worker_pid = request.time_start = None
        if self.draining and not request.acknowledged:
            self.give_back(request, "the daemon is stopping")
        else:
            self.ready.appendleft(request)

    def _give_back_waiting(self) -> None:
        for request in self.table:
            if request.stage in (Stage.SCHEDULED, Stage.RESERVED) and not request.acknowledged:
                self._cancel_timer(request)
                self.give_back(request, "the daemon is stopping")
        self.ready = deque(request for request in self.ready if request.stage is Stage.RESERVED)

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

    def _cancel_timer(self, request: Request) -> None:
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
            pending += self.table.untold
        return pending + sum(r.stage in (Stage.STORING, Stage.SETTLING) for r in self.table)

    def check_idle(self) -> None:
        """While draining: call ``on_idle`` once nothing is left here."""
        if self.draining and self.on_idle is not None and not len(self.table) and not self.unsettled:
            on_idle, self.on_idle = self.on_idle, None
            on_idle()
