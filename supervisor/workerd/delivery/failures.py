"""Failures that the supervisor itself finds, as results that any client can read.

A child encodes the results of what it ran; what never ran, or whose child died, is told here.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from billiard.exceptions import TimeLimitExceeded, WorkerLostError

from workerd.protocol.exceptions import TaskRevokedError
from workerd.protocol.result import Coding, not_registered, supervisor_meta
from workerd.protocol.states import FAILURE, REVOKED
from workerd_pool import Cause, MemoryLimitExceeded

if TYPE_CHECKING:
    from workerd.backends.writer import ResultWriter
    from workerd.delivery.aftermath import Aftermath
    from workerd.delivery.events import TaskEvents
    from workerd.delivery.request import Request
    from workerd_pool import Death

Then = Callable[[], None]

TOLD_BY_STATUS = frozenset({Cause.EXIT, Cause.SIGNAL})
"""Causes of which the exit status says all that is known."""


class Failures:
    """Each method stores a result, then calls ``then``; at once where the task keeps no result."""

    def __init__(self) -> None:
        self.results: ResultWriter | None = None
        self.coding = Coding()
        self.events: TaskEvents | None = None
        self.aftermath: Aftermath | None = None

    def expired(self, request: Request, then: Then) -> None:
        """It waited longer than its sender allowed."""
        if self.events is not None:
            self.events.revoked(request, expired=True)
        self._store(request, TaskRevokedError("expired"), then)

    def revoked(self, request: Request, then: Then) -> None:
        """It was revoked before it began."""
        if self.events is not None:
            self.events.revoked(request)
        self._store(request, TaskRevokedError("revoked"), then)

    def terminated(self, request: Request, then: Then) -> None:
        """Somebody has ordered its end before it began."""
        if self.events is not None:
            self.events.revoked(request, terminated=True)
        self._store(request, TaskRevokedError("terminated"), then)

    def killed(self, request: Request, then: Then) -> None:
        """Somebody has ordered its end, and its child was killed for it."""
        if self.events is not None:
            self.events.revoked(request, terminated=True, killed=True)
        self._store(request, TaskRevokedError("terminated"), then)

    def unregistered(self, request: Request, then: Then) -> None:
        """No task of that name is known."""
        self._fail(request, not_registered(request.message), then)

    def internal(self, request: Request, error: str, then: Then) -> None:
        """The child could not run it for a reason that is not the task's."""
        self._fail(request, RuntimeError(error), then)

    def killed_before(self, request: Request, reason: str, then: Then) -> None:
        """It has cost too many processes before it came, and does not run again."""
        self._fail(request, WorkerLostError(reason), then)

    def died(self, request: Request, death: Death, then: Then) -> None:
        """Its child died, and it does not run again."""
        if death.hard_limit is not None:
            self._fail(request, TimeLimitExceeded(death.hard_limit), then)
        elif death.cause is Cause.MEMORY_LIMIT:
            self._fail(request, MemoryLimitExceeded(death.words), then)
        else:
            text = f"Worker exited prematurely: {death.status} Job: {request.number}."
            if death.cause not in TOLD_BY_STATUS:
                text += f" Cause: {death.words}."
            self._fail(request, WorkerLostError(text), then)

    def _fail(self, request: Request, exc: Exception, then: Then) -> None:
        if self.events is not None:
            self.events.failed(request, exc)
        self._store(request, exc, then)

    def _store(self, request: Request, exc: Exception, then: Then) -> None:
        alone = partial(self._store_alone, request, exc, then)
        state = REVOKED if isinstance(exc, TaskRevokedError) else FAILURE
        if self.aftermath is None or not self.aftermath.begin(request, state, exc, alone, then):
            alone()

    def _store_alone(self, request: Request, exc: Exception, then: Then) -> None:
        if self.results is None or not request.keeps_result:
            then()
            return
        state, meta = supervisor_meta(request.message, exc, self.coding)
        self.results.store(request.id, state, meta, then, request.message.reply_to)
