"""A run that sends another call in its place, or one more into its chord.

Errors:  ValueError for what cannot take a run's place, and outside of a chord; Ignore ends the run, Reject
         one whose replacement finds no broker.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workerd.app.canvas.chain import Chain
from workerd.app.canvas.group import Group
from workerd.app.canvas.signature import Signature, add_to_option, maybe_signature, several
from workerd.errors import UnavailableError
from workerd.protocol.exceptions import Ignore, Reject

if TYPE_CHECKING:
    from workerd.app.running.request import Request
    from workerd.app.task import Task

ACCUMULATE = "celery.accumulate"


def replace(task: Task, signature: Signature) -> Any:
    """Send ``signature`` under the id of the current call of ``task``; what follows that follows it."""
    request = task.request
    if request.called_directly:
        raise ValueError("only a call that a worker runs can be replaced, not a plain one")
    sig = _one_result(task, maybe_signature(signature, task.app))
    _take_over_links(sig, request)
    last = sig.tasks[-1] if isinstance(sig, Chain) else sig
    if request.reply_to and last.kind is None:
        last.options.setdefault("reply_to", request.reply_to)
    sig.freeze(request.id)
    nesting = request.replaced_task_nesting + 1
    sig.set(
        chord=request.chord,
        group_id=request.group,
        group_index=request.group_index,
        root_id=request.root_id,
        replaced_task_nesting=nesting,
    )
    if isinstance(sig, Chain):
        for step in sig.tasks:
            step.set(replaced_task_nesting=nesting)
    for item in reversed(request.chain or ()):
        sig |= maybe_signature(item, task.app).clone().set(replaced_task_nesting=nesting)
    if request.is_eager:
        return sig.apply().get()
    try:
        with task.app.frames.follow():
            sig.delay()
    except UnavailableError as exc:
        # As with a retry: the call must not end here without a trace.
        raise Reject(f"what replaces it could not be sent: {exc}", requeue=True) from exc
    raise Ignore("Replaced by new task")


def add_to_chord(task: Task, signature: Signature, lazy: bool = False) -> Any:
    """Make ``signature`` one more call of the header that the current call of ``task`` is part of."""
    request, chords = task.request, task.app.backend.chords
    if not request.chord or not request.group:
        raise ValueError("the current call is not part of a chord")
    if chords is None:
        raise ValueError("this result backend cannot add to a chord; Redis can")
    sig = maybe_signature(signature, task.app)
    sig.set(
        group_id=request.group,
        group_index=request.group_index,
        chord=request.chord,
        root_id=request.root_id,
    )
    sig.freeze()
    chords.expect_more(request.group)
    return sig if lazy else sig.delay()


def _take_over_links(sig: Signature, request: Request) -> None:
    for callback in request.callbacks or ():
        sig.link(callback)
    for errback in request.errbacks or ():
        sig.link_error(errback)
    if isinstance(sig, Chain):
        for callback in several(sig.options.pop("link", None)):
            add_to_option(sig.tasks[-1], "link", callback)


def _one_result(task: Task, sig: Signature) -> Signature:
    """A group has many results: one task more makes them one."""
    if "chord" in sig.options:
        raise ValueError("what replaces a task must not be part of a chord of its own")
    if isinstance(sig, Chain) and not sig.tasks:
        raise ValueError("an empty chain cannot replace a task")
    gather = task.app.tasks[ACCUMULATE].s(index=0)
    if isinstance(sig, Group):
        return sig | gather
    if isinstance(sig, Chain) and isinstance(sig.tasks[-1], Group):
        sig.tasks = [*sig.tasks[:-1], sig.tasks[-1] | gather]
    return sig
