"""Running a call in the caller's own process: ``task.apply`` and ``task_always_eager``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workerd.app.results.result import EagerResult
from workerd.app.running.request import Request
from workerd.app.running.trace import Run, run_call
from workerd.app.sending.call import CallOptions
from workerd.protocol.exceptions import Retry
from workerd.protocol.outgoing import new_id
from workerd.protocol.result import Lineage, make_meta
from workerd.protocol.states import PROPAGATE_STATES, RETRY

if TYPE_CHECKING:
    from workerd.app.task import Task


def apply_here(
    task: Task,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    *,
    throw: bool | None = None,
    options: dict[str, Any],
) -> EagerResult:
    """Run ``task`` now.  With ``throw`` (else by ``task_eager_propagates``) a failure is raised."""
    call = CallOptions.of({**task.call_defaults(), **options})
    request = _request(task, args, kwargs, call)
    run = run_call(task, request)
    result = _result(request, run)
    raising = task.app.conf.task_eager_propagates if throw is None else throw
    if raising and run.state in PROPAGATE_STATES:
        raise run.value
    if run.state not in PROPAGATE_STATES:
        for link in call.signatures("link") or ():
            task.app.signature(link).apply_async((result.result,))
    _store(task, request, result)
    return result


def _request(task: Task, args: tuple[Any, ...], kwargs: dict[str, Any], call: CallOptions) -> Request:
    task_id = call.task_id or new_id()
    parent = task.app.frames.sender
    return Request(
        id=task_id,
        task=task.name,
        args=args,
        kwargs=kwargs,
        retries=call.retries,
        is_eager=True,
        called_directly=False,
        headers=dict(call.headers or {}),
        delivery_info={"is_eager": True, "exchange": None, "routing_key": None, "priority": call.priority},
        hostname=task.app.hostname,
        root_id=call.root_id or (parent.root_id if parent else None) or task_id,
        parent_id=call.parent_id or (parent.id if parent else None),
        correlation_id=task_id,
        callbacks=call.signatures("link"),
        errbacks=call.signatures("link_error"),
        timelimit=(call.time_limit, call.soft_time_limit),
        ignore_result=call.ignore_result,
        shadow=call.shadow,
    )


def _result(request: Request, run: Run) -> EagerResult:
    if run.state == RETRY and isinstance(run.value, Retry):
        last: EagerResult | None = getattr(run.value.sig, "eager_result", None)
        if last is not None:
            return last
    assert request.id is not None
    return EagerResult(request.id, run.value, run.state, traceback=run.traceback, name=request.task)


def _store(task: Task, request: Request, result: EagerResult) -> None:
    conf = task.app.conf
    if not conf.task_store_eager_result or task.ignore_result or not result.ready():
        return
    lineage = Lineage(children=[], parent_id=request.parent_id)
    coding = task.app.backend_options().coding
    meta = make_meta(
        result.id, result.state, result.result, lineage, traceback=result.traceback, coding=coding
    )
    task.app.backend.store(result.id, result.state, task.app.backend.encode(meta))
