"""From a tick to its message.

Its id is made of the cluster, the entry and the time of the tick: whoever sends it, it is the same call.

Errors:  whatever is wrong with the call, as ``apply_async`` raises it.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from workerd.app.sending.call import CallOptions
from workerd.app.sending.drafting import draft_of
from workerd.app.sending.outlet.base import Posting
from workerd.protocol.serial import dump

if TYPE_CHECKING:
    from workerd.app import App
    from workerd.schedules import Entry

TICKS = uuid.UUID("6f1b3a52-8f0c-5d0e-9f62-0b7a7d6f2c11")
"""The namespace of their ids; another one would be other calls."""

HEADER = "periodic_task_name"


def posting_of(app: App, entry: Entry, cluster: str, tick: float) -> Posting:
    """The message of ``entry`` for the tick at ``tick`` (Unix time)."""
    task = app.tasks.get(entry.task)
    options = {**(task.call_defaults() if task is not None else {}), **entry.options}
    options["headers"] = {**(options.get("headers") or {}), HEADER: entry.name}
    # Whoever tries again must know whose turn it is, so not the transport.
    call = CallOptions.of({**options, "retry": False})
    call.task_id = str(uuid.uuid5(TICKS, f"{cluster}\n{entry.name}\n{tick!r}"))
    posting = app.publisher.posting(draft_of(app, entry.task, entry.args, entry.kwargs, call), call, None)
    if not posting.parcel.plain:
        # Each transport has another error for what it cannot write, and meets it later.
        dump(posting.parcel.headers, "json")
    return posting
