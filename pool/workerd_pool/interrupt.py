"""Interrupt: the one way in which a running job is interrupted, in the child.

The parent sends WAKE; the handler looks for the cause itself before it raises: a frame that names this
very job.  So a signal that comes late finds nothing and cannot hit the next job.  It acts between
bytecodes of the main thread; C code that does not return is the hard limit's, and the parent wakes again
while its frame has not been read.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import CodeType, FrameType

from billiard.exceptions import SoftTimeLimitExceeded

from workerd_pool.contract import Interruption
from workerd_pool.errors import JobTerminated, MemoryLimitExceeded, SoftStop

Look = Callable[[int], BaseException | None]
"""Given the id of the running job: what to raise in it, or None."""


def exception_of(cause: str, text: str) -> BaseException:
    """What the frame of a parent raises in the job."""
    words = (text,) if text else ()
    kinds: dict[str, type[BaseException]] = {
        Interruption.SOFT_LIMIT: SoftTimeLimitExceeded,
        Interruption.STOP: SoftStop,
        Interruption.MEMORY_LIMIT: MemoryLimitExceeded,
        Interruption.TERMINATE: JobTerminated,
    }
    return kinds[cause](*words)


class Interrupt:
    """Armed for one job at a time.  ``look`` says what there is to raise, each thing once."""

    def __init__(self) -> None:
        self.look: Look = _nothing
        self._job: int | None = None
        self._held = 0
        self._due = False
        self._outside: set[CodeType] = {Interrupt.arm.__code__, Interrupt.disarm.__code__}
        # The handler runs in the thread that is the child's first; what other threads do holds nothing up.
        self._main = threading.get_ident()

    def not_in(self, function: Callable[..., object]) -> None:
        """Never raise while ``function``'s own frame is the running one: the job is over there."""
        self._outside.add(function.__code__)

    def arm(self, job_id: int) -> None:
        """This job begins."""
        self._due = False
        self._job = job_id

    def disarm(self) -> None:
        """The job is over, or must not be interrupted any more."""
        self._job = None
        self._due = False

    def __enter__(self) -> None:
        """Raise nothing inside; what came meanwhile is raised at the end (half a frame must not be sent)."""
        if threading.get_ident() == self._main:
            self._held += 1

    def __exit__(self, *exc: object) -> None:
        if threading.get_ident() != self._main:
            return
        self._held -= 1
        if self._due and not self._held and exc[0] is None:
            self._due = False
            if (found := self._look()) is not None:
                raise found

    def on_signal(self, signum: int, frame: FrameType | None) -> None:
        """The handler of WAKE."""
        if frame is not None and frame.f_code in self._outside:
            return
        if self._held:
            self._due = True
        elif (found := self._look()) is not None:
            raise found

    def _look(self) -> BaseException | None:
        return None if self._job is None else self.look(self._job)


def _nothing(job_id: int) -> BaseException | None:
    """Before there is a socket to look at."""
    return None
