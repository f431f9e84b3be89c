"""What a run sends when it ends: the callbacks, the errbacks and the next of its chain.

They are sent before the outcome is told, so that a child that dies in between runs the task again rather
than losing what should follow it.

Errors:  InvalidTaskError for what cannot be sent from here, before the task runs.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from workerd.app.call import CallOptions
from workerd.app.request import Request
from workerd.app.retry import PATIENT
from workerd.app.signature import COMPOUND, Signature
from workerd.app.trace import Run
from workerd.protocol.exceptions import InvalidTaskError
from workerd.protocol.result import Lineage, make_meta
from workerd.protocol.states import FAILURE, SUCCESS

if TYPE_CHECKING:
    from workerd.app.base import App

logger = logging.getLogger("workerd.task")


def check_supported(request: Request) -> None:
    """Refuse a call whose follow-ups this worker cannot send: better no run than a lost follow-up."""
    if request.chord is not None:
        raise InvalidTaskError("this call is part of a chord, which this worker cannot complete yet")
    for kind in ("callbacks", "errbacks", "chain"):
        for item in getattr(request, kind) or ():
            _check_plain(kind, item)


def send_followups(app: App, request: Request, run: Run) -> None:
    """Send what follows ``run``; called while ``request`` is still the call in progress."""
    if run.state == SUCCESS:
        for callback in request.callbacks or ():
            _send(app, request, callback, (run.value,))
        if request.chain:
            following, rest = request.chain[-1], request.chain[:-1]
            _send(app, request, following, (run.value,), chain=rest or None)
    elif run.state == FAILURE:
        for errback in request.errbacks or ():
            _errback(app, request, errback, run)
        _fail_rest_of_chain(app, request, run)


def _check_plain(kind: str, item: Any) -> None:
    if not isinstance(item, Mapping) or not isinstance(item.get("task"), str):
        raise InvalidTaskError(f"{kind} holds something that is no signature")
    if item.get("subtask_type") in COMPOUND:
        raise InvalidTaskError(
            f"{kind} holds a {item['subtask_type']}, which this worker cannot send yet; it takes plain tasks"
        )


def _send(app: App, request: Request, item: Mapping[str, Any], args: tuple[Any, ...], **options: Any) -> None:
    # By name and unchecked: arguments that the next task cannot take are its failure, not this one's.
    whole = Signature.of(item).clone(args, parent_id=request.id, root_id=request.root_id, **options)
    task = app.tasks.get(whole["task"])
    defaults = task.call_defaults() if task is not None else {}
    given = {"retry_policy": PATIENT, **defaults, **_known(whole["options"])}
    app.send_task(whole["task"], whole["args"], whole["kwargs"], **given)


def _known(options: Mapping[str, Any]) -> dict[str, Any]:
    """What is meant for us among a signature's options; others are the notes of other clients."""
    return {name: value for name, value in options.items() if name in CallOptions.__struct_fields__}


def _errback(app: App, request: Request, item: Mapping[str, Any], run: Run) -> None:
    try:
        _check_plain("errbacks", item)
    except InvalidTaskError as exc:
        logger.error("task %s[%s]: an errback is not sent: %s", request.task, request.id, exc)
        return
    task = app.tasks.get(item["task"])
    if task is None or not _takes_failure(task.run):
        _send(app, request, item, (request.id,))
        return
    # Celery's newer form: called here with what a message could not carry.
    args = () if item.get("immutable") else (request, run.value, run.traceback)
    try:
        task(*args, *(item.get("args") or ()), **(item.get("kwargs") or {}))
    except Exception:
        logger.exception("errback %s of task %s raised", item["task"], request.task)


def _takes_failure(function: Any) -> bool:
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(function).parameters.values()
    required = [p for p in parameters if p.kind in kinds and p.default is p.empty]
    return len(required) > 1 or any(p.kind is p.VAR_POSITIONAL for p in parameters)


def _fail_rest_of_chain(app: App, request: Request, run: Run) -> None:
    """Those who wait for a later call of the chain hear that it will not come."""
    for item in request.chain or ():
        options = item.get("options") or {}
        task_id = options.get("task_id")
        if task_id and app.backend.enabled:
            lineage = Lineage(children=[], group_id=options.get("group_id"), parent_id=request.id)
            coding = app.backend_options().coding
            meta = make_meta(task_id, FAILURE, run.value, lineage, traceback=run.traceback, coding=coding)
            app.backend.store(task_id, FAILURE, app.backend.encode(meta))
