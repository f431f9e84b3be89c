"""One run of a task, from its request to a typed outcome.  The same for children and for eager calls.

Nothing that a task or a hook raises gets out of ``run_call``.

Units:   seconds.
"""

from __future__ import annotations

import logging
import time
import traceback as tracebacks
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import msgspec
from billiard.einfo import ExceptionInfo
from billiard.exceptions import SoftTimeLimitExceeded

from workerd.app.running.request import Request
from workerd.app.running.retry import run_with_autoretry
from workerd.app.running.task_signals import tell_begin, tell_end, tell_outcome
from workerd.protocol.exceptions import Ignore, Reject, Retry, TaskExitError, TaskRevokedError
from workerd.protocol.failure import safe_repr
from workerd.protocol.states import FAILURE, IGNORED, REJECTED, RETRY, REVOKED, SUCCESS
from workerd_pool import JobTerminated, MemoryLimitExceeded, SoftStop

if TYPE_CHECKING:
    from workerd.app.task import Task

logger = logging.getLogger("workerd.task")

# Frames of these modules say nothing about the task.
_OURS = __name__.rpartition(".")[0] + "."
_HERE = str(Path(__file__).parent)


class Run(msgspec.Struct):
    """How a run ended.  ``value`` is what it returned or the exception it raised."""

    state: str
    value: Any
    traceback: str | None = None
    einfo: Any = None
    runtime: float = 0.0
    stopped: bool = False
    """The daemon's stop has cut it off, and its message can go back."""

    @property
    def timeout(self) -> bool:
        """True when a soft limit, of time or of memory, ended it."""
        return isinstance(self.value, (SoftTimeLimitExceeded, MemoryLimitExceeded))


def run_call(task: Task, request: Request, finish: Callable[[Run], Run] = lambda run: run) -> Run:
    """Run ``task`` for ``request``; ``finish`` may change the outcome before the hooks hear of it."""
    with task.app.frames.entered(task, request):
        began = time.perf_counter()
        run = _run(task, request)
        run.runtime = time.perf_counter() - began
        try:
            run = finish(run)
        except BaseException as exc:  # noqa: BLE001 (the outcome of this run, never the child's end)
            run = ended_by(exc, task, run.runtime)
        _hooks(task, request, run)
    return run


def ended_by(exc: BaseException, task: Task | None, runtime: float = 0.0) -> Run:
    """The outcome of a run that ``exc`` has ended: an interruption's own, else a failure."""
    if isinstance(exc, JobTerminated):
        return Run(REVOKED, TaskRevokedError("terminated"), runtime=runtime)
    if isinstance(exc, SoftStop):
        if task is not None and task.acks_late:
            return Run(REJECTED, Reject("cut off by the stop", requeue=True), runtime=runtime, stopped=True)
        # Its message is gone already.  Readers of the result know this name, and not that of ours.
        exc = SoftTimeLimitExceeded(*exc.args).with_traceback(exc.__traceback__)
    return failed(exc, runtime)


def failed(exc: BaseException, runtime: float = 0.0) -> Run:
    """The outcome of a run that raised ``exc``."""
    text, einfo = described(exc)
    if not isinstance(exc, Exception):
        # Raised in a reader of the result it would end that process, so it travels under another name.
        said = TaskExitError(f"the task raised {safe_repr(exc)}")
        said.__cause__ = exc
        exc = said
    return Run(FAILURE, exc, text, einfo, runtime)


def described(exc: BaseException) -> tuple[str, Any]:
    """(traceback text without our frames, billiard's ExceptionInfo) of ``exc``."""
    trace = _task_part(exc.__traceback__)
    try:
        summary = tracebacks.TracebackException(type(exc), exc, trace)
        _strip(summary)
        text = "".join(summary.format())
    except Exception as broken:  # noqa: BLE001 (an exception whose own str() raises is still a failure)
        text = f"{type(exc).__name__}, which cannot be described: {type(broken).__name__}\n"
    einfo = ExceptionInfo((type(exc), exc, trace))
    # billiard wraps the exception for its way through a pipe, which it does not take here.
    einfo.exception, einfo.traceback = exc, text
    return text, einfo


def _run(task: Task, request: Request) -> Run:
    try:
        tell_begin(task, request)
        task.before_start(request.id or "", request.args, request.kwargs)
        return Run(SUCCESS, run_with_autoretry(task, request))
    except Ignore as exc:
        return Run(IGNORED, exc)
    except Reject as exc:
        return Run(REJECTED, exc)
    except Retry as exc:
        return Run(RETRY, exc, *described(exc))
    except BaseException as exc:  # noqa: BLE001 (also SystemExit: it ends this task and no more)
        return ended_by(exc, task)


def _hooks(task: Task, request: Request, run: Run) -> None:
    call = (request.id or "", request.args, request.kwargs)
    if run.state == SUCCESS:
        _hook(task, "on_success", run.value, *call)
    elif run.state == FAILURE:
        _hook(task, "on_failure", run.value, *call, run.einfo)
    elif run.state == RETRY:
        _hook(task, "on_retry", run.value, *call, run.einfo)
    tell_outcome(task, request, run)
    if run.state in (SUCCESS, FAILURE):
        _hook(task, "after_return", run.state, run.value, *call, run.einfo)
    tell_end(task, request, run)


def _hook(task: Task, name: str, *args: Any) -> None:
    try:
        getattr(task, name)(*args)
    except BaseException:
        logger.exception("%s of task %s raised; the outcome stands", name, task.name)


def _task_part(trace: TracebackType | None) -> TracebackType | None:
    """The traceback from the first frame that is not ours."""
    outer = trace
    while outer is not None and str(outer.tb_frame.f_globals.get("__name__", "")).startswith(_OURS):
        outer = outer.tb_next
    return outer or trace


def _strip(summary: tracebacks.TracebackException) -> None:
    """Drop our frames from both ends: where a task calls ``self.retry``, that line is the last."""
    for described in _chain(summary):
        stack = described.stack
        while len(stack) > 1 and stack[0].filename.startswith(_HERE):
            del stack[0]
        while len(stack) > 1 and stack[-1].filename.startswith(_HERE):
            del stack[-1]


def _chain(summary: tracebacks.TracebackException) -> Iterator[tracebacks.TracebackException]:
    yield summary
    for other in (summary.__cause__, summary.__context__):
        if other is not None:
            yield from _chain(other)
