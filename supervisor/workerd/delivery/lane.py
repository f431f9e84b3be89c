"""A lane: what waits for one pool, and how much more of it this node should hold.

Each pool has a lane of its own, with its own queues, its own measure of how long tasks take, and its own room
at the source: a pool whose slots are all taken by long tasks leaves the others as they are.

Units: ``expires`` is Unix time; limits are seconds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from workerd.delivery.limits import NOTHING, Limits
from workerd.delivery.outcome import DONE
from workerd.delivery.prefetch import Prefetch
from workerd.delivery.request import Request, Settlement, Stage, TaskOptions, Verdict
from workerd.delivery.turnstile import Turnstile
from workerd_pool import Job

if TYPE_CHECKING:
    from workerd.delivery.dispatcher import Dispatcher
    from workerd_pool import Pool

AGAIN = 1.0
"""Seconds until what could not be given to a child is tried again, if nothing happens before."""

WANTS_A_SLOT = frozenset({Stage.RESERVED, Stage.ACKNOWLEDGING, Stage.RUNNING})


class Lane:
    """``name`` is the pool's."""

    def __init__(self, dispatcher: Dispatcher, name: str, queues: Sequence[str]) -> None:
        self.dispatcher, self.name, self.queues = dispatcher, name, tuple(queues)
        self.most_held = 0
        """Messages of every stage that may be here."""
        self.handed_out = 0
        """Messages that a step was given, and has not answered."""
        self.pool: Pool | None = None
        self.tasks: Mapping[str, TaskOptions] = {}
        self.prefetch = Prefetch()
        self.ready: deque[Request] = deque()
        self._acknowledging: set[int] = set()  # requests that speak for a slot each
        self._again = False  # what could not be given to a child will be tried again
        self._starting = False  # what becomes ready meanwhile is seen by the pump that goes on
        self._limited, self.turnstile = dispatcher.rates.limited, Turnstile(self)
        self.limits = NOTHING
        """What the pool's settings say of the time that its tasks may take."""

    def add_queue(self, queue: str) -> None:
        """Its messages are this pool's from now on."""
        self.queues = (*self.queues, queue)
        self.dispatcher.belongs(queue, self)

    def cancel_queue(self, queue: str) -> None:
        """No more of its messages are wanted; those that are here stay this pool's."""
        self.queues = tuple(name for name in self.queues if name != queue)

    def demand(self) -> int:
        """Slots that could be used now: what runs and what waits for a slot."""
        return sum(r.pool == self.name and r.stage in WANTS_A_SLOT for r in self.dispatcher.table)

    def waiting(self) -> int:
        """Messages here that further slots would start at once."""
        return self._startable() + len(self._acknowledging)

    def line_up(self, request: Request) -> None:
        """It wants a slot: behind all that are ready, unless it has to wait for its turn first."""
        if not self._limited or not self.turnstile.holds(request):
            self.ready.append(request)

    def pump(self) -> None:
        """Start what can start, then ask the source for as much as there is room for."""
        if self.pool is None or self._starting:
            return  # what becomes ready meanwhile is seen by the pump that goes on
        self.start()
        source = self.dispatcher.settler.source
        if source is not None and not self.dispatcher.draining:
            source.fetch(self.name, self._room(self.pool))

    def start(self) -> None:
        """Start what can start."""
        if self.pool is None or self._starting:
            return
        self._starting = True
        try:
            self._start(self.pool)
        finally:
            self._starting = False

    def _room(self, pool: Pool) -> int:
        """How many messages more this node should hold for the pool."""
        left = self.most_held - self.dispatcher.table.held(self.name) - self.handed_out
        if left <= 0 or self.dispatcher.parking.full:
            return 0
        if self.dispatcher.paused:
            # One at a time, else a pause whose cause does not go away by itself would have no end.
            return int(pool.free > 0 and not any(lane.demand() for lane in self.dispatcher.lanes.values()))
        return min(self._wanted(pool) + self.dispatcher.parking.bonus.get(self.name, 0), left)

    def _wanted(self, pool: Pool) -> int:
        free = max(pool.free - len(self._acknowledging), 0)
        return self.prefetch.room(slots=pool.alive, free=free, reserved=self._startable())

    def excess(self) -> list[Request]:
        """What waits for a slot beyond the number that should, taken out of what waits."""
        if self.pool is None:
            return []
        free = max(self.pool.free - len(self._acknowledging), 0)
        most = free + self.prefetch.waiting(self.pool.alive)
        found: deque[Request] = deque()
        while len(self.ready) > most and not self.ready[-1].acknowledged:
            found.appendleft(self.ready.pop())
        return list(found)

    def _startable(self) -> int:
        deaths = self.dispatcher.deaths
        if not deaths.suspect_runs:
            return len(self.ready)
        # What may not run now leaves its slot to others.
        return sum(not deaths.must_wait(request) for request in self.ready)

    def keep_only_held(self) -> None:
        """Forget what waits here and has left the table, or is on its way out of it."""
        table = self.dispatcher.table
        self.ready = deque(r for r in self.ready if r.stage is Stage.RESERVED and table.get(r.number) is r)
        self.turnstile.keep_only_held()

    # -- to the pool ---------------------------------------------------------------------------

    def _start(self, pool: Pool) -> None:
        """Give what waits to the pool, as much as it takes; what must wait longer keeps its place."""
        waiting: list[Request] = []
        while chosen := self._choose(pool, waiting):
            # One write for all of them, before any of them begins.
            self.dispatcher.deaths.save()
            refused = [request for request in chosen if not self._submit(request, pool)]
            if not refused:
                break
            waiting += refused  # others may have their slots
        self.ready.extendleft(reversed(waiting))

    def _choose(self, pool: Pool, waiting: list[Request]) -> list[Request]:
        """What begins now, out of ``ready``; what must wait goes to ``waiting``."""
        desk, free = self.dispatcher, pool.free
        # False while another node may have taken over what is here; the source will tell.
        ours = desk.settler.sure
        chosen: list[Request] = []
        while self.ready and free > len(chosen) + len(self._acknowledging):
            request = self.ready.popleft()
            if not (ours or request.acknowledged) or not self._may_run(request):
                waiting.append(request)
            elif request.stage is Stage.RUNNING:
                desk.deaths.began(request)
                chosen.append(request)
        return chosen

    def _may_run(self, request: Request) -> bool:
        """Choose it for a run, or see to it in another way; False when it must wait."""
        if request.epitaph is not None:
            request.stage = Stage.RUNNING
            return True
        if self._is_over(request):
            self.turnstile.left(request)
            return True
        if self._limited and not self.turnstile.passes(request):
            return True
        options = request.options = self.tasks[request.message.task]
        if not options.acks_late and not request.acknowledged:
            return self.acknowledge(request)
        if request.suspect and self.dispatcher.deaths.must_wait(request):
            return False
        request.stage = Stage.RUNNING
        return True

    def _submit(self, request: Request, pool: Pool) -> bool:
        desk = self.dispatcher
        desk.settler.began(request)
        try:
            pool.submit(self._job(request))
        except (OSError, MemoryError) as exc:
            # Large arguments travel in memory of their own, for which there is none now, or no descriptor.
            desk.deaths.ended(request)
            request.stage = Stage.RESERVED
            desk.settler.ended(request)
            if not self._again:
                self._again = True
                desk.narrator.cannot_begin(request, exc, AGAIN)
                desk.timer.call_after(AGAIN, self._try_again)
            return False
        return True

    def _try_again(self) -> None:
        self._again = False
        self.pump()

    def acknowledge(self, request: Request) -> bool:
        """At most once: the broker forgets the message before it is started."""
        source = self.dispatcher.settler.source
        if source is None:
            return False
        request.stage = Stage.ACKNOWLEDGING
        self._acknowledging.add(request.number)
        source.settle([request.delivery], partial(self._acknowledged, request))
        return True

    def unsure(self, request: Request) -> None:
        """Its link is gone: whether it was acknowledged is not known."""
        self._acknowledging.discard(request.number)
        self.dispatcher.narrator.unsure(request)

    def _acknowledged(self, request: Request) -> None:
        self._acknowledging.discard(request.number)
        if request.taken:
            self.dispatcher.takeovers.forget(request)
            return
        request.acknowledged, request.stage = True, Stage.RESERVED
        self.dispatcher.table.acknowledged(request)
        self.ready.appendleft(request)
        self.pump()

    def _job(self, request: Request) -> Job:
        limits = self.limits_of(request) if request.epitaph is None else NOTHING
        header: dict[str, Any] = {
            "hostname": self.dispatcher.hostname,
            "queue": request.delivery.queue,
            "redelivered": request.delivery.redelivered or request.deaths > 0,
            "deaths": request.deaths,
        }
        if request.epitaph is not None:
            header["ended"] = {"state": request.epitaph.state, "error": request.epitaph.error}
        return Job(
            id=request.number,
            header=header,
            body=request.message.payload,
            soft_limit=limits.soft,
            hard_limit=limits.hard,
            title=request.title,
        )

    def limits_of(self, request: Request) -> Limits:
        """How long this run may take."""
        return self.dispatcher.limits.of(request.message, request.options, self.limits)

    # -- not to the pool -----------------------------------------------------------------------

    def _is_over(self, request: Request) -> bool:
        """True when it is settled already, because it cannot be run."""
        message = request.message
        if message.expires is not None and message.expires <= self.dispatcher.clock.wall():
            self._expired(request)
        elif request.unwanted:
            self.dispatcher.orders.revoke(request)
        elif message.task not in self.tasks:
            self._unknown(request)
        else:
            return False
        return True

    def _expired(self, request: Request) -> None:
        desk = self.dispatcher
        desk.narrator.expired(request)
        desk.totals.expired += 1
        request.stage = Stage.STORING
        desk.failures.expired(request, partial(desk.settler.decide, request, DONE))

    def _unknown(self, request: Request) -> None:
        desk = self.dispatcher
        desk.narrator.unknown(request)
        request.stage = Stage.STORING
        fate = Verdict(Settlement.PUT_ASIDE, f"unregistered task {request.message.task}")
        desk.failures.unregistered(request, partial(desk.settler.decide, request, fate))
