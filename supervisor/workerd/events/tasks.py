"""Events of tasks, in Celery's names and fields."""

from __future__ import annotations

import signal
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workerd.delivery import Outcome, Request
    from workerd.events.dispatcher import EventDispatcher
    from workerd.source.base import Delivery


class TaskEvent(msgspec.Struct, gc=False):
    """One event of a task.  Structs, because a busy node makes some ten thousand of them a second."""

    hostname: str
    utcoffset: float
    pid: int
    clock: int
    timestamp: float
    uuid: str


class Received(TaskEvent, tag="task-received"):
    name: str
    args: str
    kwargs: str
    root_id: str | None
    parent_id: str | None
    retries: int
    eta: str | None
    expires: str | None


class Started(TaskEvent, tag="task-started"):
    pass


class Succeeded(TaskEvent, tag="task-succeeded"):
    result: str
    runtime: float | None


class Failed(TaskEvent, tag="task-failed"):
    exception: str
    traceback: str | None


class Retried(TaskEvent, tag="task-retried"):
    exception: str
    traceback: str | None


class Rejected(TaskEvent, tag="task-rejected"):
    requeue: bool


class Revoked(TaskEvent, tag="task-revoked"):
    terminated: bool
    signum: int | None
    expired: bool


class TaskEvents:
    """Implements ``delivery.events.TaskEvents`` with ``dispatcher``."""

    def __init__(self, dispatcher: EventDispatcher) -> None:
        self._dispatcher = dispatcher

    def received(self, request: Request) -> None:
        if not request.options.send_events:
            return
        message = request.message
        self._dispatcher.note(
            Received,
            message.id,
            message.task,
            message.argsrepr,
            message.kwargsrepr,
            message.root_id,
            message.parent_id,
            message.retries,
            None if message.eta is None else _moment(message.eta),
            None if message.expires is None else _moment(message.expires),
        )

    def started(self, request: Request) -> None:
        if request.options.send_events:
            self._dispatcher.note(Started, request.message.id)

    def ended(self, request: Request, outcome: Outcome) -> None:
        if not request.options.send_events:
            return
        match outcome.state:
            case "SUCCESS":
                self._dispatcher.note(Succeeded, request.message.id, outcome.repr, outcome.runtime)
            case "RETRY":
                self._send(Retried, request, outcome.cause or outcome.repr, outcome.traceback)
            case "REJECTED":
                self._send(Rejected, request, outcome.requeue)
            case "REVOKED":
                self.revoked(request, terminated=True)
            case "FAILURE":
                self._send(Failed, request, outcome.repr, outcome.traceback)
            case _:
                pass  # an ignored task tells nothing; an error of ours comes through ``failed``

    def failed(self, request: Request, exception: Exception) -> None:
        self._send(Failed, request, repr(exception), None)

    def revoked(
        self, request: Request, *, terminated: bool = False, killed: bool = False, expired: bool = False
    ) -> None:
        signum = int(signal.SIGKILL if killed else signal.SIGTERM) if terminated else None
        self._send(Revoked, request, terminated, signum, expired)

    def told(self, request: Request, kind: str, fields: Mapping[str, Any]) -> None:
        """The task has sent an event of its own."""
        self._dispatcher.tell(kind, {"uuid": request.id, "pid": request.worker_pid, **fields})

    def unreadable(self, delivery: Delivery) -> None:
        """No event tells of it."""

    def _send(self, kind: type[TaskEvent], request: Request, *fields: Any) -> None:
        if request.options.send_events:
            self._dispatcher.note(kind, request.message.id, *fields)


def _moment(when: float) -> str:
    return datetime.fromtimestamp(when, UTC).isoformat()
