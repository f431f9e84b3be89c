"""MemoryGuard: holds busy children to their limits of memory while their jobs run.

It looks once a second at those that have a job, and not at all while none has.  Over the soft limit the
job is interrupted, once; over the hard one its child is killed.

Units:  bytes; seconds of the monotonic clock.
"""

from __future__ import annotations

from collections.abc import Callable

from workerd_pool.child_handle import ChildHandle
from workerd_pool.contract import Interruption, Job
from workerd_pool.crew import Crew
from workerd_pool.deadlines import NEVER
from workerd_pool.death import Cause, Reason
from workerd_pool.enforcer import Enforcer
from workerd_pool.log import logger
from workerd_pool.memory import next_look, size_text
from workerd_pool.witness import OomWitness

SLICE = 0.02  # seconds of readings at a time
PAUSE = 0.1  # seconds until it goes on


class MemoryGuard:
    """One for a crew."""

    def __init__(
        self, crew: Crew, enforcer: Enforcer, witness: OomWitness, clock: Callable[[], float]
    ) -> None:
        self._crew, self._enforcer, self._witness, self._clock = crew, enforcer, witness, clock
        self._warned = 0  # the newest generation that was found to be too large for its limits

    def tick(self, now: float) -> None:
        """Look at whoever is due."""
        due = [child for child in self._crew if child.due.memory <= now]
        if due:
            # Also for its own sake: what it has not seen for long it cannot tell from what happens now.
            self._witness.look()
        for child in due:
            if self._clock() - now > SLICE:
                # Exact readings have taken long; the loop has other things to do in between.
                child.due.memory = now + PAUSE
                continue
            child.due.memory = NEVER if child.current is None else next_look(child.spec, now)
            if child.current is not None:
                self._check(child, child.current, now)

    def _check(self, child: ChildHandle, job: Job, now: float) -> None:
        soft, hard = child.spec.soft_memory, child.spec.hard_memory
        least = min((limit for limit in (soft, hard) if limit is not None), default=None)
        if least is None or (size := child.meter.read(child.pid, least, now)) <= least:
            return
        if not child.at_end:
            # Its DONE may be here already.
            self._crew.read(child)
        if child.current is not job:
            return
        if hard is not None and size > hard:
            words = f"hard memory limit ({size_text(hard)}): it had {size_text(size)}"
            self._crew.kill_for(child, job, Reason(Cause.MEMORY_LIMIT, words))
        elif soft is not None and child.warned is not job:
            child.warned = job
            text = f"soft memory limit ({size_text(soft)}): its child has {size_text(size)}"
            logger.warning("%s: %s; its job is interrupted: %s", child.name(), text, job.title)
            self._enforcer.interrupt(child, job, Interruption.MEMORY_LIMIT, text)

    def ready(self, child: ChildHandle, now: float) -> None:
        """A child is ready: with limits below what the code itself needs no job could ever be done."""
        least = child.spec.after_job
        if least is None or child.generation <= self._warned:
            return
        if (size := child.meter.read(child.pid, least, now)) > least:
            self._warned = child.generation
            logger.error(
                "A child of generation %d has %s before its first job, and its limit of memory is %s",
                child.generation,
                size_text(size),
                size_text(least),
            )
