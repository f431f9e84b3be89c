"""A lane: what waits for one pool, and how much more of it this node should hold.

Each pool has a lane of its own, with its own queues, its own measure of how long tasks take, and its own room
at the source: a pool whose slots are all taken by long tasks leaves the others as they are.

Units: ``expires`` is Unix time; limits are seconds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from workerd.delivery.limits import NOTHING, Limits
from workerd.delivery.outcome import DONE
from workerd.delivery.prefetch import Prefetch
from workerd.delivery.request import Request, Settlement, Stage, TaskOptions, Verdict
from workerd_pool import Job

if TYPE_CHECKING:
    from workerd.delivery.dispatcher import Dispatcher
    from workerd_pool import Pool

AGAIN = 1.0
"""Seconds until what could not be given to a child is tried again, if nothing happens before."""

WANTS_A_SLOT = frozenset({Stage.RESERVED, Stage.ACKNOWLEDGING, Stage.RUNNING})


class Lane:
    """``name`` is the pool's; ``most_held`` counts messages of every stage."""

    def __init__(self, dispatcher: Dispatcher, name: str, queues: Sequence[str], most_held: int) -> None:
        self.dispatcher, self.name, self.queues, self.most_held = dispatcher, name, tuple(queues), most_held
        self.pool: Pool | None = None
        self.tasks: Mapping[str, TaskOptions] = {}
        self.prefetch = Prefetch()
        self.ready: deque[Request] = deque()
        self._acknowledging: set[int] = set()  # requests that speak for a slot each
        self._again = False  # what could not be given to a child will be tried again
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

    def pump(self) -> None:
        """Start what can start, then ask the source for as much as there is room for."""
        pool = self.pool
        if pool is None:
            return
        waiting: deque[Request] = deque()
        while self.ready and pool.free > len(self._acknowledging):
            request = self.ready.popleft()
            if not self._is_ours(request) or not self._start(request, pool):
                waiting.append(request)
        self.ready.extendleft(reversed(waiting))
        source = self.dispatcher.settler.source
        if source is not None and not self.dispatcher.draining:
            source.fetch(self.name, self._room(pool))

    def _room(self, pool: Pool) -> int:
        """How many messages more this node should hold for the pool."""
        if self.dispatcher.table.held(self.name) >= self.most_held or self.dispatcher.parking.full:
            return 0
        if self.dispatcher.paused:
            # One at a time, else a pause whose cause does not go away by itself would have no end.
            return int(pool.free > 0 and not any(lane.demand() for lane in self.dispatcher.lanes.values()))
        return self._wanted(pool) + self.dispatcher.parking.bonus[self.name]

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
        # What may not run now leaves its slot to others.
        return sum(not self.dispatcher.deaths.must_wait(request) for request in self.ready)

    def keep_only_held(self) -> None:
        """Forget what waits here and has left the table, or is on its way out of it."""
        table = self.dispatcher.table
        self.ready = deque(r for r in self.ready if r.stage is Stage.RESERVED and table.get(r.number) is r)

    # -- to the pool ---------------------------------------------------------------------------

    def _is_ours(self, request: Request) -> bool:
        """False while another node may have taken it over; the source will tell."""
        return request.acknowledged or self.dispatcher.settler.sure

    def _start(self, request: Request, pool: Pool) -> bool:
        """Give the request to the pool, or settle why not; False when it must wait."""
        message = request.message
        if message.expires is not None and message.expires <= self.dispatcher.clock.wall():
            self._expired(request)
            return True
        if request.unwanted:
            self.dispatcher.orders.revoke(request)
            return True
        options = self.tasks.get(message.task)
        if options is None:
            self._unknown(request)
            return True
        request.options = options
        if not options.acks_late and not request.acknowledged:
            return self.acknowledge(request)
        if self.dispatcher.deaths.must_wait(request):
            return False
        return self._submit(request, pool)

    def _submit(self, request: Request, pool: Pool) -> bool:
        desk = self.dispatcher
        desk.deaths.began(request)
        request.stage = Stage.RUNNING
        desk.settler.note(request)
        try:
            pool.submit(self._job(request))
        except (OSError, MemoryError) as exc:
            # Large arguments travel in memory of their own, for which there is none now, or no descriptor.
            desk.deaths.ended(request)
            request.stage = Stage.RESERVED
            desk.settler.note(request)
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
        limits = self.limits_of(request)
        return Job(
            id=request.number,
            header={
                "hostname": self.dispatcher.hostname,
                "queue": request.delivery.queue,
                "redelivered": request.delivery.redelivered or request.deaths > 0,
                "deaths": request.deaths,
            },
            body=request.message.payload,
            soft_limit=limits.soft,
            hard_limit=limits.hard,
            title=request.title,
        )

    def limits_of(self, request: Request) -> Limits:
        """How long this run may take."""
        return self.dispatcher.limits.of(request.message, request.options, self.limits)

    # -- not to the pool -----------------------------------------------------------------------

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
