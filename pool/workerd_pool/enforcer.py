"""Enforcer: interrupts, dumps and kills the children that are over a limit.

What is due stands in each child's Deadlines; here is what is then done about it.

Units:  seconds of the monotonic clock.
"""

from __future__ import annotations

from collections.abc import Callable

from workerd_pool.child_handle import ChildHandle
from workerd_pool.contract import Interruption, Job
from workerd_pool.crew import Crew, CrewEvents
from workerd_pool.deadlines import DUMP_GRACE, NEVER
from workerd_pool.death import CUT_OFF, Cause, Reason
from workerd_pool.dispatcher import Dispatcher
from workerd_pool.log import logger
from workerd_pool.states import ChildEvent


class Enforcer:
    """One for a crew."""

    def __init__(
        self, crew: Crew, dispatcher: Dispatcher, events: CrewEvents, clock: Callable[[], float]
    ) -> None:
        self._crew, self._dispatcher, self._events, self._clock = crew, dispatcher, events, clock

    # -- orders

    def interrupt(self, child: ChildHandle, job: Job, cause: Interruption, text: str = "") -> bool:
        """Interrupt a job of this child; False if the child has not read it: it is in the backlog now."""
        self._dispatcher.make_way(child)
        if job.id not in child.jobs:
            return False
        child.interrupt(job, cause, text)
        child.due.wake_again(self._clock(), first=True)
        self._events.child_due(child.due.wake)
        return True

    def end_by(self, child: ChildHandle, job: Job, grace: float) -> None:
        """KILL the child unless this job of it is over in ``grace`` seconds."""
        child.ended, child.due.cut = job, self._clock() + grace
        self._events.child_due(child.due.cut)

    def relimit(self, child: ChildHandle, job: Job) -> None:
        """The limits of this job have changed; they count from its start."""
        if child.current is job:
            now = self._clock()
            child.due.begin_job(child.since, *child.limits(job))
            child.due.spare(now)
            self._events.child_due(child.due.next())

    # -- time

    def next_deadline(self) -> float:
        """The earliest moment at which ``tick`` has something to do."""
        return min((child.due.next() for child in self._crew), default=NEVER)

    def tick(self, now: float) -> None:
        """Interrupt, dump and kill whoever is over a limit."""
        for child in list(self._crew):
            due = child.due
            if min(due.soft, due.dump, due.hard, due.cut, due.wake) <= now and not child.at_end:
                # Its DONE may be here already.
                self._crew.read(child)
            self._check_job(child, now)
            self._check_phase(child, now)

    def _check_job(self, child: ChildHandle, now: float) -> None:
        due, job = child.due, child.current
        if due.hard <= now and job is not None:
            _, limit = child.limits(job)
            due.job_over()
            self._crew.kill_for(child, job, Reason(Cause.HARD_LIMIT, f"hard time limit ({limit:g}s)", limit))
        elif due.cut <= now:
            due.cut = NEVER
            if (ended := child.ended) is not None:
                reason = Reason(Cause.OPERATOR, "terminated, and it did not end in time")
                self._crew.kill_for(child, ended, reason)
        elif due.soft <= now:
            due.soft = NEVER
            if job is not None:
                soft, _ = child.limits(job)
                what = job.title or job.id
                logger.warning("%s: %s is over its soft time limit (%gs)", child.name(), what, soft)
                self.interrupt(child, job, Interruption.SOFT_LIMIT)
                self._dispatcher.settle()
        if due.dump <= now:
            due.dump = NEVER
            if job is not None:
                left = max(due.hard - now, 0.0)
                what = job.title or job.id
                logger.warning("%s: %s is killed in %.1fs; its stacks follow", child.name(), what, left)
                child.dump()
        if due.wake <= now:
            due.wake = NEVER
            if child.interrupting:
                # It came in the instant before the job began, or met a handler of the task's own.
                child.wake()
                due.wake_again(now)

    def _check_phase(self, child: ChildHandle, now: float) -> None:
        due = child.due
        if due.kill <= now:
            due.phase_over()
            child.apply(ChildEvent.KILL)
        elif due.phase <= now:
            if child.at_end:
                child.blame(Cause.PROTOCOL, CUT_OFF)
            else:
                child.blame(Cause.OVERDUE, f"not {due.phase_name} within {child.spec.boot_timeout:g}s")
            logger.error("%s is not %s; its stacks follow", child.name(), due.phase_name)
            child.dump()
            due.phase, due.kill = NEVER, now + DUMP_GRACE
            if not child.pid:
                self._events.fork_overdue(child)
