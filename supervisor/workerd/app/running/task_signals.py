"""The signals of a run, where it runs: a child, or the process of an eager call.

What receivers raise changes nothing about a run that has ended; before it begins, a SystemExit of theirs is
its outcome.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from workerd.protocol.states import FAILURE, RETRY, SUCCESS
from workerd.signals import (
    task_failure,
    task_internal_error,
    task_postrun,
    task_prerun,
    task_retry,
    task_success,
)

if TYPE_CHECKING:
    from workerd.app.running.request import Request
    from workerd.app.running.trace import Run
    from workerd.app.task import Task

logger = logging.getLogger("workerd.task")


def tell_begin(task: Task, request: Request) -> None:
    """It is about to run."""
    if task_prerun.heard:
        task_prerun.send(sender=task, task_id=request.id, task=task, args=request.args, kwargs=request.kwargs)


def tell_outcome(task: Task, request: Request, run: Run) -> None:
    """It has succeeded, failed, or is tried again."""
    try:
        if run.state == SUCCESS and task_success.heard:
            task_success.send(sender=task, result=run.value, runtime=run.runtime)
        elif run.state == RETRY and task_retry.heard:
            task_retry.send(sender=task, request=request, reason=run.value, einfo=run.einfo)
        elif run.state == FAILURE and task_failure.heard:
            task_failure.send(
                sender=task,
                task_id=request.id,
                exception=run.value,
                args=request.args,
                kwargs=request.kwargs,
                traceback=run.value.__traceback__,
                einfo=run.einfo,
            )
    except BaseException:
        logger.exception("A receiver of task %s raised; the outcome stands", task.name)


def tell_end(task: Task, request: Request, run: Run) -> None:
    """It is over, in whatever way."""
    if not task_postrun.heard:
        return
    try:
        task_postrun.send(
            sender=task,
            task_id=request.id,
            task=task,
            args=request.args,
            kwargs=request.kwargs,
            retval=run.value,
            state=run.state,
        )
    except BaseException:
        logger.exception("A receiver of task %s raised; the outcome stands", task.name)


def tell_not_run(task: Task | None, request: Request, run: Run) -> None:
    """Its message could not be run."""
    if not task_internal_error.heard:
        return
    task_internal_error.send(
        sender=task,
        task_id=request.id,
        args=request.args,
        kwargs=request.kwargs,
        request=request,
        exception=run.value,
        traceback=run.value.__traceback__,
        einfo=run.einfo,
    )
