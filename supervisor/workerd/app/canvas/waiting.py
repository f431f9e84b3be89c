"""What a chord asks of the result backend before its header is sent.

A backend that counts needs nothing but, for a header whose members are groups themselves, their shape.  For
any other, ``celery.chord_unlock`` looks every second whether the header is done.

Errors:  ConfigError where no results are kept, or not for others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workerd.app.sending.call import CallOptions, plain
from workerd.errors import ConfigError

if TYPE_CHECKING:
    from workerd.app.base import App
    from workerd.app.canvas.signature import Signature
    from workerd.app.results.group import GroupResult

UNLOCK = "celery.chord_unlock"
FIRST_LOOK = 1.0
"""Seconds before the header is looked at."""

_ROUTE = ("exchange", "routing_key", "headers")


def wait_for_header(app: App, header: GroupResult, body: Signature) -> None:
    """See to it that ``body`` is sent after ``header``."""
    if not app.backend.shared:
        raise ConfigError(
            "a chord needs a result backend that others can read, in which its parts are counted",
            "set result_backend or --backend, for example to redis://localhost/1",
        )
    if app.backend.chords is not None:
        if any(isinstance(part, type(header)) for part in header):
            header.save()
        return
    stamped = body.options.get("stamped_headers") or ()
    route = {name: body.options[name] for name in _ROUTE if name in body.options and name not in stamped}
    task = app.tasks.get(body.task)
    queue = body.options.get("queue") or (task.queue if task is not None else None)
    found = app.router.queue(queue) if queue else app.router.way(body.task, CallOptions()).queue
    priority = body.options.get("priority", task.priority if task is not None else None)
    kwargs: dict[str, Any] = {"interval": None, "max_retries": None, "result": [r.as_tuple() for r in header]}
    if found is not None:
        kwargs["_chord_unlock_exchange_type"] = found.exchange.type
    app.tasks[UNLOCK].apply_async(
        (header.id, plain(body)),
        kwargs,
        countdown=FIRST_LOOK,
        queue=found,
        priority=priority or 0,
        add_to_parent=False,
        **route,
    )
