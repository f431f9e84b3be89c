"""Signals of tasks that the daemon itself sends: of what comes, does not run, or has lost its child.

Receivers are called in the loop.  What they see of a call is what a child would show them, as far as it can
be read without running code.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from signal import Signals
from typing import TYPE_CHECKING, Any

from billiard.einfo import ExceptionInfo
from kombu.exceptions import ContentDisallowed, DecodeError

from workerd.app.running.receiving import bare_request, with_arguments
from workerd.app.running.request import Request as TaskRequest
from workerd.protocol.envelope import MalformedError
from workerd.protocol.exceptions import InvalidTaskError, NotRegistered, Reject
from workerd.protocol.incoming import PLAIN, open_payload
from workerd.signals import task_failure, task_received, task_rejected, task_revoked, task_unknown
from workerd.worker.consumer.task_message import TaskMessage

if TYPE_CHECKING:
    from workerd.app.task import Task
    from workerd.delivery import Outcome, Request
    from workerd.source.base import Delivery
    from workerd.worker.controller import WorkController


class TaskSignals:
    """Implements ``delivery.events.TaskEvents`` for the receivers of the app of one worker."""

    def __init__(self, worker: WorkController) -> None:
        self._worker = worker

    def received(self, request: Request) -> None:
        if task_received.heard:
            task_received.send(sender=self._worker.consumer, request=request)

    def started(self, request: Request) -> None:
        """Its child sends ``task_prerun``."""

    def ended(self, request: Request, outcome: Outcome) -> None:
        """Its child has sent the signals of all other ends."""
        if outcome.state == "REVOKED":
            self.revoked(request, terminated=True)
        elif outcome.state == "REJECTED" and not outcome.requeue:
            self.failed(request, Reject(outcome.repr.removeprefix(str(Reject("")))))

    def failed(self, request: Request, exception: Exception) -> None:
        if isinstance(exception, NotRegistered):
            self._unknown(request, exception)
        elif task_failure.heard:
            task, call, einfo = self._task(request), self._call(request), _einfo(exception)
            with task.app.frames.entered(task, call) if task is not None else nullcontext():
                task_failure.send(
                    sender=task or request.message.task,
                    task_id=request.id,
                    exception=exception,
                    args=call.args,
                    kwargs=call.kwargs,
                    traceback=einfo.traceback,
                    einfo=einfo,
                )

    def revoked(
        self, request: Request, *, terminated: bool = False, killed: bool = False, expired: bool = False
    ) -> None:
        if task_revoked.heard:
            task_revoked.send(
                sender=self._task(request) or request.message.task,
                request=self._call(request),
                terminated=terminated,
                signum=int(Signals.SIGKILL if killed else Signals.SIGTERM) if terminated else None,
                expired=expired,
            )

    def told(self, request: Request, kind: str, fields: Mapping[str, Any]) -> None:
        """No signal tells of it."""

    def unreadable(self, delivery: Delivery) -> None:
        if task_rejected.heard:
            error = MalformedError(delivery.problem)
            task_rejected.send(sender=self._worker.consumer, message=delivery, exc=error)

    def _unknown(self, request: Request, exception: NotRegistered) -> None:
        if task_unknown.heard:
            task_unknown.send(
                sender=self._worker.consumer,
                message=TaskMessage(request.delivery, _no_answer),
                exc=exception,
                name=request.message.task,
                id=request.id,
            )

    def _task(self, request: Request) -> Task | None:
        """None for a task that only newer code knows, or that nobody has."""
        return self._worker.app.tasks.get(request.message.task)

    def _call(self, request: Request) -> TaskRequest:
        """What ``task.request`` is in a child."""
        delivery = request.delivery
        job = {
            "hostname": self._worker.hostname,
            "redelivered": delivery.redelivered or request.deaths > 0,
            "deaths": request.deaths,
        }
        incoming = open_payload(request.message.payload)
        bare = bare_request(incoming, job)
        try:
            return with_arguments(bare, incoming, job, PLAIN)
        except (InvalidTaskError, ContentDisallowed, DecodeError):
            return bare


def _einfo(exception: Exception) -> ExceptionInfo:
    try:
        raise exception
    except Exception:  # noqa: BLE001 (raised here, for the traceback that it has not got)
        einfo = ExceptionInfo()
    einfo.exception = exception  # which billiard has wrapped for its way through a pipe
    return einfo


def _no_answer(message: TaskMessage, state: str) -> None:
    """It is put aside whatever a receiver answers."""
