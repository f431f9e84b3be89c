"""Trying a call again: ``self.retry`` and ``autoretry_for``.

Units:   seconds.
Errors:  those of a call, for a retry that cannot be one; Reject when the broker is away.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from workerd.app.canvas.patience import PATIENT
from workerd.app.running.changed import changed
from workerd.app.running.request import Request
from workerd.errors import UnavailableError
from workerd.protocol.exceptions import Ignore, MaxRetriesExceededError, Reject, Retry
from workerd_pool import JobTerminated, SoftStop

if TYPE_CHECKING:
    from workerd.app.task import Task


def retry(
    task: Task,
    args: Sequence[Any] | None = None,
    kwargs: Mapping[str, Any] | None = None,
    exc: BaseException | None = None,
    throw: bool = True,
    eta: datetime | None = None,
    countdown: float | timedelta | None = None,
    max_retries: int | None = None,
    **options: Any,
) -> Retry:
    """Send the current call of ``task`` again, under the same id, then raise Retry (or return it).

    Raises ``exc``, or MaxRetriesExceededError without one, when there have been ``max_retries`` already.
    In a task that was called as a plain function it raises ``exc`` or the exception being handled.
    """
    request = task.request
    allowed = task.max_retries if max_retries is None else max_retries
    if not request.called_directly and allowed is not None and request.retries >= allowed:
        raise exc if exc is not None else _exhausted(task, request)
    if exc is None:
        handled = sys.exc_info()[1]
        exc = None if isinstance(handled, Retry) else handled
    if request.called_directly:
        raise exc if exc is not None else Retry("Task can be retried", None)
    if eta is None and countdown is None:
        countdown = task.default_retry_delay
    if isinstance(countdown, timedelta):
        countdown = countdown.total_seconds()
    again = {**call_again(request), **options, "eta": eta, "countdown": countdown}
    again["retries"] = request.retries + 1
    retried = Retry(exc=exc, when=eta if eta is not None else countdown, is_eager=request.is_eager)
    new_args, new_kwargs = changed(task.run, request, args, kwargs)
    retried.sig = task.signature(new_args, new_kwargs, **again)
    _send(task, retried, new_args, new_kwargs, again)
    if throw:
        raise retried
    return retried


def call_again(request: Request) -> dict[str, Any]:
    """The options that send the same call once more: its id, its place in a workflow, its route."""
    info = request.delivery_info
    hard, soft = request.timelimit
    options: dict[str, Any] = {
        "task_id": request.id,
        "root_id": request.root_id,
        "group_id": request.group,
        "group_index": request.group_index,
        "chord": request.chord,
        "chain": request.chain,
        "link": request.callbacks,
        "link_error": request.errbacks,
        "expires": request.expires,
        "time_limit": hard,
        "soft_time_limit": soft,
        "headers": request.headers or None,
        "shadow": request.shadow,
        "reply_to": request.reply_to,
        "ignore_result": request.ignore_result,
        "replaced_task_nesting": request.replaced_task_nesting,
        "stamped_headers": request.stamped_headers,
        "stamps": request.stamps or None,
        "priority": info.get("priority"),
    }
    if info.get("exchange"):
        options |= {"exchange": info["exchange"], "routing_key": info.get("routing_key")}
    elif info.get("routing_key"):
        options["queue"] = info["routing_key"]
    return {name: value for name, value in options.items() if value is not None}


def run_with_autoretry(task: Task, request: Request) -> Any:
    """Run the task's function; an exception that ``autoretry_for`` names becomes a retry."""
    try:
        return task.run(*request.args, **request.kwargs)
    except (Ignore, Reject, Retry, SoftStop, JobTerminated, *task.dont_autoretry_for):  # type: ignore[misc]
        raise
    except task.autoretry_for as exc:
        options = dict(task.retry_kwargs)
        if task.retry_backoff:
            options["countdown"] = backoff(task, request.retries)
        retried: Any = task.retry(**{"exc": exc, **options})
        raise retried from exc


def backoff(task: Task, retries: int) -> float:
    """Seconds before retry number ``retries`` + 1: doubling, capped, with full jitter if wanted."""
    factor = max(1, int(task.retry_backoff))
    # Beyond this exponent every cap has been reached, and 2**n grows without end.
    ceiling = min(task.retry_backoff_max, factor * 2 ** min(retries, 64))
    return random.randrange(int(ceiling) + 1) if task.retry_jitter else ceiling


def _exhausted(task: Task, request: Request) -> BaseException:
    return MaxRetriesExceededError(
        f"Can't retry {task.name}[{request.id}] args:{request.args} kwargs:{request.kwargs}",
        task_args=request.args,
        task_kwargs=request.kwargs,
    )


def _send(
    task: Task, retried: Retry, args: Sequence[Any], kwargs: Mapping[str, Any], options: dict[str, Any]
) -> None:
    if retried.is_eager:
        # An eager call has no queue to wait in: it runs again before the first run returns.
        retried.sig.eager_result = task.apply(args, kwargs, throw=False, **options)
        return
    options.setdefault("retry_policy", PATIENT)
    try:
        task.apply_async(args, kwargs, **options)
    except UnavailableError as failed:
        # The call must not end here without a trace: its message goes back to be run again.  What else is
        # wrong with the retry would be so again, and fails the task.
        raise Reject(f"the retry could not be sent: {failed}", requeue=True) from failed
