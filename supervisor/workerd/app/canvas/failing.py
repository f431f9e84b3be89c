"""What follows a failure: errbacks, and the word to those who wait for calls that will not come.

An errback that takes the failure itself (request, exception, traceback) is called here, because a message
could not carry it; any other is sent, with the id of the call that failed.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from workerd.app.canvas.group import Group
from workerd.app.canvas.signature import Signature, maybe_signature, several
from workerd.app.running.request import Request
from workerd.app.running.trace import Run
from workerd.protocol.exceptions import ChordError
from workerd.protocol.failure import safe_repr
from workerd.protocol.result import Lineage, make_meta
from workerd.protocol.states import FAILURE

if TYPE_CHECKING:
    from workerd.app.base import App

logger = logging.getLogger("workerd.task")


def call_failed(app: App, request: Request, run: Run) -> None:
    """The errbacks of ``request``, and the rest of its chain."""
    if run.state == FAILURE:
        send_errbacks(app, request, run.value, run.traceback)
    fail_all(app, request.chain or (), run.value, run.traceback, request.id)


def send_errbacks(app: App, request: Request, exc: BaseException, traceback: str | None) -> None:
    """Call or send the errbacks of ``request``."""
    waiting = []
    for errback in _readable(app, request.errbacks or ()):
        task = app.tasks.get(errback.task) if errback.kind is None else None
        if task is None or not _takes_failure(task.run, errback):
            waiting.append(errback)
            continue
        args = () if errback.immutable else (request, exc, traceback)
        try:
            task(*args, *errback.args, **errback.kwargs)
        except Exception:
            logger.exception("errback %s of task %s raised", errback.task, request.task)
    if waiting:
        root_id = request.root_id or request.id
        Group(waiting, app=app).apply_async((request.id,), parent_id=request.id, root_id=root_id)


def fail_all(
    app: App, chain: Iterable[Any], exc: BaseException, traceback: str | None, parent_id: str | None
) -> None:
    """Those who wait for a call of ``chain``, or for a chord with one of them, hear that it will not come."""
    for item in _readable(app, chain):
        for step in _calls_of(item):
            fail_one(app, step, exc, traceback, parent_id)


def fail_one(
    app: App, step: Signature, exc: BaseException, traceback: str | None, parent_id: str | None
) -> None:
    """One call will not come: its result, and its part of a chord."""
    options = step.options
    if not step.id or not app.backend.enabled:
        return
    group_id = options.get("group_id")
    if not options.get("ignore_result"):
        lineage = Lineage(children=[], group_id=group_id, parent_id=parent_id)
        coding = app.backend_options().coding
        meta = make_meta(step.id, FAILURE, exc, lineage, traceback=traceback, coding=coding)
        app.backend.store(step.id, FAILURE, app.backend.encode(meta))
    if options.get("chord") is not None and group_id:
        # They fail chords, and those fail others.
        from workerd.app.canvas.parts import part_ended  # noqa: PLC0415

        request = Request(
            id=step.id, task=step.task, group=group_id, group_index=options.get("group_index"),
            chord=options["chord"], root_id=options.get("root_id"), called_directly=False,
        )  # fmt: skip
        part_ended(app, request, Run(FAILURE, exc, traceback), b"")


def fail_chord(app: App, body: Mapping[str, Any], error: ChordError, parent_id: str | None) -> None:
    """``body`` will not be sent: its result and its errbacks say so, and so do those of what follows it."""
    whole = maybe_signature(body, app)
    for step in whole.tasks if isinstance(whole, Group) else [whole]:
        errbacks = [
            *_errbacks_of(step),
            *(several(whole.options.get("link_error")) if step is not whole else ()),
        ]
        fake = Request(
            id=step.id, task=step.task, args=step.args, kwargs=step.kwargs, called_directly=False,
            root_id=step.options.get("root_id"), parent_id=parent_id, errbacks=errbacks,
        )  # fmt: skip
        send_errbacks(app, fake, error, None)
        for call in _calls_of(step):
            fail_one(app, call, error, None, parent_id)
    fail_all(app, whole.options.get("chain") or (), error, None, parent_id)


def _readable(app: App, items: Iterable[Any]) -> Iterator[Signature]:
    for item in items:
        try:
            yield maybe_signature(item, app)
        except (KeyError, TypeError, ValueError) as exc:
            logger.error("what should follow a failure is left out: %s", safe_repr(exc))


def _errbacks_of(step: Signature) -> list[Any]:
    """Those of what gives ``step`` its result."""
    found = several(step.options.get("link_error"))
    return found + (_errbacks_of(step.kwargs["body"]) if step.kind == "chord" else [])


def _calls_of(step: Signature) -> Iterable[Signature]:
    """The calls whose results somebody may wait for, when ``step`` is not sent."""
    if step.kind in ("chain", "group"):
        for one in step.kwargs["tasks"]:
            yield from _calls_of(one)
    elif step.kind == "chord":
        yield from _calls_of(step.kwargs["body"])
    else:
        yield step


def _takes_failure(function: Any, errback: Signature) -> bool:
    """It wants more than the id of the call, beside what the signature gives it."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(function).parameters.values()
    given = (0, {}) if errback.immutable else (len(errback.args), errback.kwargs)
    required = [p for p in parameters if p.kind in kinds and p.default is p.empty and p.name not in given[1]]
    return len(required) - given[0] > 1 or any(p.kind is p.VAR_POSITIONAL for p in parameters)
