"""Recycling: when a child has served enough and another one takes its place.

The number of jobs is exact.  It is known when the last of them begins, so that the replacement starts
meanwhile.  Memory is known only after a job, and not read after each one where jobs are so short that a
reading would cost as much.

Units:   bytes; seconds of the monotonic clock; counts of jobs.
"""

from __future__ import annotations

from collections.abc import Iterable, Set

from workerd_pool.child_handle import ChildHandle
from workerd_pool.contract import Job
from workerd_pool.memory import resident, size_text
from workerd_pool.states import ChildState

SHORT = 0.001  # seconds; a reading takes a hundredth of that
WORTHWHILE = 16 << 20  # bytes that a replacement must win
PERIOD = 0.1  # seconds between two readings of a child whose jobs are short


def shed(children: Iterable[ChildHandle]) -> ChildHandle | None:
    """The idle child that has grown most is replaced; None where no one has grown enough to matter."""
    idle = [child for child in children if child.state is ChildState.IDLE and not child.spent]
    grown = {child: resident(child.pid) - child.fresh for child in idle}
    fattest = max(grown, key=lambda child: grown[child], default=None)
    if fattest is None or grown[fattest] < WORTHWHILE:
        return None
    fattest.spent = f"memory is short, and it has grown by {size_text(grown[fattest])}"
    return fattest


def may_take_more(child: ChildHandle) -> bool:
    """It may be given one job more."""
    most = child.spec.max_jobs
    return not child.spent and (most is None or child.served + len(child.jobs) < most)


def begun(child: ChildHandle) -> None:
    """It begins a job."""
    most = child.spec.max_jobs
    if most is not None and child.served + 1 >= most:
        child.spent = f"its last job of {most} has begun"


def ended(child: ChildHandle, seconds: float, now: float) -> None:
    """It has ended a job that took ``seconds``."""
    most = child.spec.after_job
    if most is None or child.spent or (seconds < SHORT and now < child.weigh_at):
        return
    child.weigh_at = now + PERIOD
    if (size := child.meter.read(child.pid, most, now)) > most:
        child.spent = f"it has {size_text(size)} after a job, over {size_text(most)}"


def worn(child: ChildHandle, job: Job, why: str) -> None:
    """A job has left it unfit for others; it says so itself, and leaves."""
    child.spent = child.spent or f"{job.title or job.id} has left it unfit for others: {why}"
    # It may be gone before it is told to go.
    child.wanted_dead = True


class Standby:
    """Children that are ready and get no job yet, because recycled ones still end theirs, or because
    their generation is on trial: not yet the ``current`` one.

    So no more jobs run at a time than children are ``wanted``, and none with code that may be given up.
    """

    def __init__(self) -> None:
        self.wanted = self.current = 0
        self._held: list[ChildHandle] = []

    def hold(self, child: ChildHandle) -> None:
        """This child is ready."""
        self._held.append(child)

    def drop(self, child: ChildHandle) -> None:
        """This child leaves, if it is here."""
        if child in self._held:
            self._held.remove(child)

    def next(self, takers: Set[ChildHandle], holders: Iterable[ChildHandle]) -> ChildHandle | None:
        """The next one that may take jobs beside ``takers``; ``holders`` have some."""
        ready = next((child for child in self._held if child.generation <= self.current), None)
        if ready is None:
            return None
        busy = set(holders)
        recycled = any(child.spent for child in busy - takers)
        full = recycled and len(busy | takers) >= self.wanted
        if full:
            return None
        self._held.remove(ready)
        return ready
