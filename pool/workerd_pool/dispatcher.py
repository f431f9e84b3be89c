"""Dispatcher: which child gets which job, and what becomes of the jobs.

A child gets one job at a time while jobs are long.  While they are short, several RUN frames wait in
its socket (see ``pace``), so that it never waits for the parent.  A job is never stuck behind a long
one: what waits behind it is taken back and goes to others.

A child that is recycled ends its last job while its replacement starts; that one gets its first job
only then, so that no more jobs run than children are wanted.

Units:  seconds of the monotonic clock; counts of jobs.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from workerd_pool.alarm import Alarm
from workerd_pool.backlog import Backlog
from workerd_pool.beginnings import Beginnings
from workerd_pool.child_handle import ChildHandle
from workerd_pool.contract import Job, Listener
from workerd_pool.deadlines import NEVER
from workerd_pool.death import Death
from workerd_pool.errors import PoolBusyError
from workerd_pool.feedback import Feedback
from workerd_pool.log import logger, tell
from workerd_pool.pace import PATIENCE, Pace
from workerd_pool.recycling import Standby, may_take_more
from workerd_pool.silence import PERIOD, Silence


class Dispatcher:
    """Knows the ready children and every job that is in the pool."""

    def __init__(self, listener: Listener, clock: Callable[[], float]) -> None:
        self._listener, self._clock = listener, clock
        self.feedback = Feedback(self, listener, clock)
        self.beginnings = Beginnings(self.feedback.begun)
        self.alarm: Alarm | None = None
        self.on_rest: Callable[[], None] = lambda: None  # a child of another generation has no job now
        self.prefer = 0  # the current generation; children of others get jobs last, one at a time
        self.pace = Pace()
        self._takers: set[ChildHandle] = set()
        self._idle: OrderedDict[ChildHandle, None] = OrderedDict()  # the best one last
        self._roomy: OrderedDict[ChildHandle, None] = OrderedDict()  # busy, perhaps with room in the socket
        self._load = 0  # jobs at takers
        self._standby = Standby()
        self.silence = Silence(self)
        self._holders: dict[int, ChildHandle] = {}
        self._backlog = Backlog(listener)

    # -- the host's side

    @property
    def free(self) -> int:
        """How many jobs ``submit`` takes now."""
        if not self._takers:
            return 0
        room = len(self._idle)
        if self.pace.depth > 1:
            room = max(room, self.pace.depth * len(self._takers) - self._load)
        return max(0, room - len(self._backlog))

    def submit(self, job: Job) -> None:
        """Give the job to a child.  Raises PoolBusyError."""
        if job.id in self._holders:
            raise ValueError(f"job {job.id} is in the pool already")
        if not self._backlog.jobs and self._place(job):
            return
        if self.free <= 0:
            raise PoolBusyError("no child has room for a job")
        self._backlog.jobs.append(job)

    def take_back(self) -> list[Job]:
        """Every job that no child has read; they are the host's again."""
        taken = self._backlog.empty()
        holders = set(self._holders.values())
        for child in [child for child in holders if len(child.jobs) > (child.current is not None)]:
            taken.extend(self._unload(child))
        return taken

    def holder(self, job_id: int) -> ChildHandle | None:
        """The child that has this job."""
        return self._holders.get(job_id)

    def __len__(self) -> int:
        return len(self._holders) + len(self._backlog)

    # -- children come and go

    def add(self, child: ChildHandle) -> None:
        """This child can take jobs, as soon as the recycled one is gone whose place it takes."""
        self._standby.hold(child)
        self._let_in()

    def want(self, number: int) -> None:
        """This many children are wanted."""
        self._standby.wanted = number
        self._let_in()

    def _let_in(self) -> None:
        while child := self._standby.next(self._takers, self._holders.values()):
            self.enlist(child)

    def enlist(self, child: ChildHandle) -> None:
        """This child gets jobs; it did not until now."""
        self._takers.add(child)
        self._load += len(child.jobs)
        self._sort_in(child)
        if len(child.jobs) > 1:
            self._watch_queue(child, self._clock())

    def turn_to(self, generation: int) -> None:
        """This generation is the current one: its children get jobs first."""
        self.prefer = self._standby.current = generation
        for child in [child for child in self._idle if child.generation != generation]:
            self._idle.move_to_end(child, last=False)
        self._let_in()

    def remove(self, child: ChildHandle) -> None:
        """This child gets no more jobs."""
        child.due.queue = NEVER
        self._standby.drop(child)
        if child in self._takers:
            self._takers.discard(child)
            self._load -= len(child.jobs)
            self._idle.pop(child, None)
            self._roomy.pop(child, None)
            self._let_in()

    def release(self, child: ChildHandle) -> None:
        """This child leaves: what it has not read goes to others."""
        self.remove(child)
        self._backlog.put_first(self._unload(child))

    def make_way(self, child: ChildHandle) -> None:
        """This child's job will be interrupted: what waits behind it goes to others."""
        child.set_aside = child.set_aside or child in self._takers
        self.release(child)
        if not child.jobs:
            self._bring_back(child)

    def waiting(self, job_id: int) -> Job | None:
        """This job, if it is at no child."""
        return self._backlog.find(job_id)

    def give_up(self, job_id: int) -> None:
        """If this job is at no child it is the host's again."""
        self._backlog.give_up(job_id)

    def bury(self, child: ChildHandle, death: Death) -> None:
        """This child is dead and all it wrote was read: tell what became of its jobs."""
        self.remove(child)
        returned = self._unload(child)
        lost = list(child.jobs.values())
        child.jobs.clear()
        for job in lost:
            self._holders.pop(job.id, None)
        self._let_in()
        for job in returned:
            tell(self._listener.on_returned, job)
        for job in lost:
            innocent = child.condemned not in (None, job)
            tell(self._listener.on_lost, job, death.of_bystander() if innocent else death)

    def return_backlog(self) -> None:
        """The pool takes leave: what is at no child is the host's again."""
        self._backlog.give_up_all()

    def settle(self) -> None:
        """After a batch of events: use the room there is, then tell the host if some is left."""
        try:
            while self._backlog and self._place(self._backlog.jobs[0]):
                self._backlog.jobs.popleft()
        except (OSError, MemoryError) as exc:  # large ones travel in memory of their own
            logger.error("A job cannot be given to a child now: %r", exc)
            if self.alarm is not None:
                self.alarm.at(self._clock() + PERIOD)
        if self.free > 0:
            tell(self._listener.on_free)

    def relieve(self, now: float) -> None:
        """Take back what waits behind long jobs, or is not read; called when the alarm rings."""
        self.beginnings.look(now)
        relieved = self.silence.due <= now and self.silence.look(self._takers, now)
        for child in list(self._takers):
            if child.due.queue > now:
                continue
            child.due.queue = NEVER
            if len(child.jobs) < 2:
                continue
            if child.current is not None and now - child.since >= PATIENCE:
                self.release(child)
                child.set_aside = relieved = True
            else:
                self._watch_queue(child, now)
        if relieved or self._backlog:
            self.settle()

    def finished(self, child: ChildHandle, job_id: int, seconds: float) -> None:
        """A child has ended a job, which took it ``seconds``, and may take another."""
        self._holders.pop(job_id, None)
        self.pace.record(seconds)
        if child in self._takers:
            self._load -= 1
            if child.jobs and not child.spent:
                self._roomy[child] = None
            else:
                self._sort_in(child)
        else:
            self._bring_back(child)
        if child.generation != self.prefer and not child.jobs:
            self.on_rest()

    def hush(self, child: ChildHandle) -> None:
        """Give it no jobs if it has printed very much, until that is told."""
        if child.outlet.full and child in self._takers:
            self.release(child)
            child.hushed = True

    def unhush(self, child: ChildHandle) -> None:
        """All that this child has printed is told."""
        if child.hushed:
            child.hushed = False
            if child.ready:
                self.enlist(child)
                self.settle()

    # -- inside

    def _bring_back(self, child: ChildHandle) -> None:
        if child.set_aside and child.ready:
            child.set_aside = False
            self.enlist(child)
        else:
            self._let_in()

    def _sort_in(self, child: ChildHandle) -> None:
        if child.spent:
            self._roomy.pop(child, None)
        elif not child.jobs:
            self._roomy.pop(child, None)
            self._idle[child] = None
            if child.generation != self.prefer:
                self._idle.move_to_end(child, last=False)
        else:
            self._roomy[child] = None

    def _pick(self) -> ChildHandle | None:
        if self._idle:
            return self._idle.popitem()[0]
        while self._roomy:
            child = next(iter(self._roomy))
            depth = self.pace.depth if child.generation == self.prefer else 1
            if len(child.jobs) < depth and (child.spec.max_jobs is None or may_take_more(child)):
                return child
            # It has enough; its next DONE brings it here again.
            del self._roomy[child]
        return None

    def _place(self, job: Job) -> bool:
        child = self._pick()
        if child is None:
            return False
        try:
            given = child.give(job)
        except BaseException:
            self._sort_in(child)
            raise
        if not given:
            # Its socket is full.  It has jobs to do, and its next DONE sorts it in again.
            self._roomy.pop(child, None)
            return False
        self._load += 1
        self._holders[job.id] = child
        if self.silence.due == NEVER and self.alarm is not None:
            self.alarm.at(self.silence.begin(self._clock()))
        if len(child.jobs) == 1:
            self.beginnings.expect(child, self._clock())
        elif child.due.queue == NEVER:
            self._watch_queue(child, self._clock())
        self._roomy[child] = None
        self._roomy.move_to_end(child)
        return True

    def _watch_queue(self, child: ChildHandle, now: float) -> None:
        if child.due.queue == NEVER and self.alarm is not None:
            child.due.queue = now + PATIENCE
            self.alarm.at(child.due.queue)

    def _unload(self, child: ChildHandle) -> list[Job]:
        before = len(child.jobs)
        jobs = child.take_back()
        for job in jobs:
            self._holders.pop(job.id, None)
        if child in self._takers:
            self._load -= before - len(child.jobs)
            self._sort_in(child)
        return jobs
