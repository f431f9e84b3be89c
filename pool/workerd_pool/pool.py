"""Pool: the facade.  It is driven by an event loop and tells a Listener what happens."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from workerd_pool import linux, recycling
from workerd_pool.cgroup import Cgroup
from workerd_pool.contract import ChildInfo, Interruption, Job, Listener, Loop, Spec
from workerd_pool.death import Cause, Deaths, Reason
from workerd_pool.dispatcher import Dispatcher
from workerd_pool.errors import PoolClosedError, PoolError
from workerd_pool.journal import Entry
from workerd_pool.reaper import Reaper
from workerd_pool.reconciler import Reconciler
from workerd_pool.states import READY, ChildState


class Pool:
    """Children of one recipe, ``want`` of them.

    Everything is called from the thread that runs ``loop``, which must be the thread that lives as
    long as the process (PDEATHSIG looks at the thread).  No method blocks.  ``close`` and
    ``terminate`` may be called at any time, any number of times.
    """

    def __init__(
        self,
        loop: Loop,
        spec: Spec,
        listener: Listener,
        reaper: Reaper | None = None,
        clock: Callable[[], float] = time.monotonic,
        cgroup: Cgroup | None = None,
    ) -> None:
        self._clock = clock
        self.reaper = reaper or Reaper(loop, clock)
        self._dispatcher = Dispatcher(listener, clock)
        self._reconciler = Reconciler(
            loop, spec, listener, self.reaper, clock, self._dispatcher, cgroup or Cgroup.own()
        )
        self.reason = ""

    # -- numbers

    @property
    def generation(self) -> int:
        """The current generation; 0 before the first is up."""
        return self._reconciler.generations.current

    @property
    def without_code(self) -> bool:
        """No generation serves, and none comes in: nothing is started until the next reload."""
        generations = self._reconciler.generations
        return self._reconciler.started and not self.closed and not generations.current | generations.incoming

    @property
    def wanted(self) -> int:
        """How many children there should be."""
        return self._reconciler.wanted

    @property
    def closed(self) -> bool:
        """``close`` or ``terminate`` was called."""
        return self._reconciler.closing

    @property
    def alive(self) -> int:
        """Children that can take jobs, of any generation."""
        # In one call: asked with every message.
        return len([1 for child in self._reconciler.crew if child.state in READY and not child.silent])

    @property
    def busy(self) -> int:
        """Children that have a job."""
        return sum(bool(child.jobs) for child in self._reconciler.crew)

    @property
    def free(self) -> int:
        """How many jobs ``submit`` takes now."""
        return 0 if self._reconciler.closing else self._dispatcher.free

    # -- what is wanted

    def start(self, *, hold: bool = False) -> None:
        """Begin with generation 1.  Raises PlatformError where the kernel cannot carry the pool."""
        if self.closed:
            raise PoolClosedError("the pool is closed")
        if self._reconciler.started:
            raise PoolError("the pool was started before")
        linux.check_kernel()
        linux.become_subreaper()
        self._reconciler.started = True
        self._reconciler.begin(None, hold=hold)

    def want(self, n: int, reason: str = "") -> None:
        """Let there be ``n`` children; busy ones that are too many leave after their job."""
        if n < 0:
            raise ValueError(f"a pool cannot have {n} children")
        self.reason = reason
        self._reconciler.want(n)

    def retired_by(self, n: int) -> list[ChildInfo]:
        """The children that ``want(n)`` would retire now, those that have no job first; changes nothing."""
        now = self._clock()
        leaving = sorted(self._reconciler.retired_by(n), key=lambda child: (bool(child.jobs), child.slot))
        return [child.info(now) for child in leaving]

    def reload(self, spec: Spec | None = None, *, hold: bool = False) -> int:
        """Bring in a new generation (of the same recipe if None); return its number.

        The listener gets ``on_up``, ``on_settled`` and ``on_complete``, or ``on_generation_failed`` at any
        moment until it is complete.  One that is still coming in is overtaken.

        With ``hold`` it waits for the host twice, so that several pools can turn as one: after ``on_passed``
        for ``promote``, and after ``on_complete`` for ``commit``.
        """
        if self.closed:
            raise PoolClosedError("the pool is closed")
        return self._reconciler.begin(spec, hold=hold)

    def promote(self, generation: int) -> None:
        """A held generation may serve, once it has passed its trial."""
        self._reconciler.generations.release(generation)
        self._reconciler.reconcile()

    def commit(self, generation: int) -> None:
        """A held generation needs no way back any more, once no older child is left."""
        self._reconciler.generations.commit(generation)
        self._reconciler.reconcile()

    def abandon(self, generation: int) -> bool:
        """Go back to the generation before this one; False where there is no way back (any more).

        On trial it is dropped.  If it serves, ``on_up`` is told with the one before it.
        """
        possible = self._reconciler.rollout.abandon(generation)
        self._reconciler.reconcile()
        return possible

    def close(self) -> None:
        """Drain: idle children leave now, busy ones after the job they have begun; then ``on_empty``."""
        self._reconciler.started = True
        self._reconciler.close()

    def terminate(self) -> None:
        """KILL every child's group and the templates; then ``on_empty``."""
        self._reconciler.started = True
        self._reconciler.terminate()

    # -- jobs

    def submit(self, job: Job) -> None:
        """Give one job to a child.  Raises PoolBusyError when ``free`` is 0."""
        if self._reconciler.closing:
            raise PoolClosedError("the pool is closed")
        self._dispatcher.submit(job)

    def take_back(self) -> list[Job]:
        """Jobs that no child has read; they are the host's again."""
        return self._dispatcher.take_back()

    def kill_job(self, job_id: int, words: str) -> bool:
        """KILL the group of the child that runs the job; False if none runs it.  ``on_lost`` follows.

        The cause of the death is ``Cause.OPERATOR``, with these words.  If the job has ended in this
        instant, so does the one after it: of ``Cause.BYSTANDER``.
        """
        child = self._dispatcher.holder(job_id)
        self.see_begun()
        if child is None or child.current is None or child.current.id != job_id:
            return False
        self._reconciler.crew.kill_for(child, child.current, Reason(Cause.OPERATOR, words))
        return True

    def interrupt_job(
        self, job_id: int, cause: Interruption, text: str = "", grace: float | None = None
    ) -> bool:
        """Raise in the running job what ``cause`` stands for, with ``text`` as its words.

        With ``grace`` its child is killed unless the job is over that many seconds later; ``on_lost``
        follows.  False if no child runs it: one that none has read comes back by ``on_returned``.
        """
        enforcer, child = self._reconciler.enforcer, self._dispatcher.holder(job_id)
        job = child.jobs.get(job_id) if child is not None else None
        told = False
        if child is not None and job is not None:
            told = enforcer.interrupt(child, job, cause, text)
            if told and grace is not None:
                enforcer.end_by(child, job, grace)
        if not told:
            self._dispatcher.give_up(job_id)
        self._dispatcher.settle()
        return told

    def limit_job(self, job_id: int, soft: float | None, hard: float | None) -> bool:
        """Give a job other limits, in seconds since its start; None for those of the recipe, inf for none.

        One that runs and is over its new hard limit already has one second more.  False if no such job
        is in the pool.
        """
        child = self._dispatcher.holder(job_id)
        job = self._dispatcher.waiting(job_id) if child is None else child.jobs[job_id]
        if job is None:
            return False
        job.soft_limit, job.hard_limit = soft, hard
        if child is not None:
            self._reconciler.enforcer.relimit(child, job)
        return True

    # -- memory

    def processes(self) -> list[int]:
        """The pids of its templates and children."""
        templates = [template["pid"] for template in self._reconciler.templates.info()]
        return templates + [child.pid for child in self._reconciler.crew if child.pid]

    def shed(self) -> bool:
        """Replace the idle child that has grown most, to win memory; False if none has grown much."""
        child = recycling.shed(self._reconciler.crew)
        if child is not None:
            self._reconciler.child_spent(child)
        return child is not None

    def hold_output(self, held: bool) -> None:
        """While held, nothing that is printed is read or told, and who prints much waits for it."""
        self._reconciler.teller.hold(held)

    # -- for status

    @property
    def deaths(self) -> Deaths:
        """The children that died of something else than having served."""
        return self._reconciler.deaths

    def ping(self) -> None:
        """Ask the idle children for a sign of life."""
        self._reconciler.crew.ping()

    def children(self) -> list[ChildInfo]:
        """Every child, by slot."""
        now = self.see_begun()
        return sorted((child.info(now) for child in self._reconciler.crew), key=lambda child: child.slot)

    def child(self, pid: int) -> ChildInfo | None:
        """The child of this pid; None once it is gone."""
        found, now = (child for child in self._reconciler.crew if child.pid == pid), self.see_begun()
        return next((child.info(now) for child in found), None)

    def see_begun(self) -> float:
        """See which jobs have begun, and tell of them now, not up to 20 ms later; return what time it is."""
        now = self._clock()
        self._dispatcher.beginnings.look(now)
        return now

    def journal(self) -> list[Entry]:
        """What the reconciler saw and did last, the oldest first."""
        return list(self._reconciler.journal)

    def info(self) -> dict[str, Any]:
        """Plain values for ``status``."""
        states = [child.state.name for child in self._reconciler.crew]
        return {
            "generation": self.generation,
            "incoming": self._reconciler.generations.incoming,
            "spawns": self._reconciler.generations.spawns(self.generation),
            "wanted": self.wanted,
            "reason": self.reason,
            "closed": self.closed,
            "alive": self.alive,
            "busy": self.busy,
            "free": self.free,
            "depth": self._dispatcher.pace.depth,
            "jobs": len(self._dispatcher),
            "degraded": self._reconciler.health.degraded,
            "states": {state.name: states.count(state.name) for state in ChildState if state.name in states},
            "templates": self._reconciler.templates.info(),
        }
