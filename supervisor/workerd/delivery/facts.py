"""Facts: what the log says of a task beside its words, for programs that read it.

Each function makes the ``extra`` of a record: plain values under ``data``.

Units: ``runtime`` is in seconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workerd.delivery.outcome import Outcome
    from workerd.delivery.request import Request
    from workerd.source.base import Delivery

EVENTS = {
    "SUCCESS": "task.succeeded",
    "RETRY": "task.retried",
    "REVOKED": "task.terminated",
    "IGNORED": "task.ignored",
    "REJECTED": "task.rejected",
    "FAILURE": "task.failed",
}
"""How the end of a run is called, by its state; what is none of them is a bug of ours."""


def facts(event: str, request: Request, **told: Any) -> dict[str, Any]:
    """Which task it is, and where; ``told`` is what happened to it."""
    message = request.message
    data = {
        "event": event,
        "task": message.task,
        "task_id": message.id,
        "queue": request.delivery.queue,
        "pool": request.pool,
        "attempt": message.retries + 1,
    }
    if request.worker_pid is not None:
        data["pid"] = request.worker_pid
    return {"data": data | told}


def facts_of_end(request: Request, outcome: Outcome, shows_args: bool) -> dict[str, Any]:
    """Of a run that has ended; with its arguments only where somebody wants them in the log."""
    told: dict[str, Any] = {"runtime": outcome.runtime}
    if outcome.state == "SUCCESS":
        told["result"] = outcome.repr
    else:
        told["error"] = outcome.error or outcome.repr
        if outcome.traceback:
            told["traceback"] = outcome.traceback
    if shows_args:
        told |= {"args": request.message.argsrepr, "kwargs": request.message.kwargsrepr}
    return facts(EVENTS.get(outcome.state, "task.broken"), request, **told)


def facts_of_delivery(event: str, delivery: Delivery, **told: Any) -> dict[str, Any]:
    """Of a message that is no request, or cannot be read at all."""
    data: dict[str, Any] = {"event": event, "queue": delivery.queue}
    if delivery.message is not None:
        data |= {"task": delivery.message.task, "task_id": delivery.message.id}
    return {"data": data | told}


def with_args(request: Request) -> str:
    """The title of a task, and its arguments as they stand in the message."""
    message = request.message
    return f"{request.title} args={message.argsrepr or '?'} kwargs={message.kwargsrepr or '?'}"
