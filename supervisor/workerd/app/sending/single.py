"""One call: ``app.send_task``.

Errors:  TypeError and ValueError for what cannot be a call; those of ``publish`` for what does not arrive.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from workerd.app.results.result import AsyncResult
from workerd.app.sending.call import CallOptions
from workerd.app.sending.drafting import draft_of
from workerd.protocol.outgoing import new_id

if TYPE_CHECKING:
    from workerd.app.base import App


def send_one(
    app: App,
    name: str,
    args: Sequence[Any] | None,
    kwargs: Mapping[str, Any] | None,
    options: Mapping[str, Any],
) -> AsyncResult:
    """Send a call of the task ``name``; inside a running task it is that call's child."""
    task_id = options.get("task_id") or new_id()
    kind = app.stencils.find(name, options)
    like = None if kind is None else app.stencils.filled(kind, task_id, args, kwargs, options)
    if like is not None:
        app.publisher.post(like)
    else:
        call = CallOptions.of(options)
        task_id = call.task_id = call.task_id or task_id
        app.publisher.send(draft_of(app, name, args or (), kwargs or {}, call), call, app.own_queue())
    result = AsyncResult(task_id, app=app, task_name=name)
    if (parent := app.frames.current) is not None and options.get("add_to_parent", True):
        parent.task.add_trail(result)
    return result
