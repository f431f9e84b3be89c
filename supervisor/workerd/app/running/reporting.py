"""States that tasks tell of themselves, and how results are written.

In a child they go up to the supervisor, which stores them; anywhere else they are stored here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from workerd.app.running.request import Request
from workerd.protocol.lenient import printable
from workerd.protocol.result import Lineage, make_meta

if TYPE_CHECKING:
    from workerd.app.base import App


class ChildLink(Protocol):
    """A child's way up to its supervisor."""

    def progress(self, header: dict[str, Any], body: bytes) -> None:
        """Send one PROGRESS frame."""

    def shield(self) -> None:
        """The soft limit does not interrupt from here on: what follows is not the task's own code."""


class Reporter:
    """Stores states of running tasks."""

    def __init__(self, app: App) -> None:
        self._app = app
        self.link: ChildLink | None = None

    def report(self, request: Request, task_id: str | None, state: str, result: Any, **extra: Any) -> None:
        """Store ``state`` with ``result`` for ``task_id``."""
        if not task_id:
            raise ValueError("there is no task id to store a state for: this task was called directly")
        if request.is_eager and not self._app.conf.task_store_eager_result:
            return
        coding = self._app.backend_options().coding
        traceback = extra.get("traceback")
        meta = make_meta(task_id, state, result, lineage_of(request), traceback=traceback, coding=coding)
        data = coding.encode(meta)
        # The supervisor files what comes up under the run that sent it.
        if self.link is not None and task_id == request.id:
            self.link.progress({"state": printable(state), "id": task_id}, data)
        else:
            self._app.backend.store(task_id, state, data)

    def event(self, request: Request, kind: str, fields: dict[str, Any]) -> None:
        """Send an event of the running task: through the worker when this is one of its children."""
        fields = {"uuid": request.id, **fields}
        if self.link is not None:
            self.link.progress({"event": printable(kind)}, _fields(fields))
        else:
            self._app.events.send(kind, fields)


_fields = msgspec.json.Encoder(enc_hook=repr).encode


def lineage_of(request: Request, extended: dict[str, Any] | None = None) -> Lineage:
    """What the result of ``request`` tells of its place."""
    return Lineage(
        children=[child.as_tuple() for child in request.children],
        group_id=request.group,
        parent_id=request.parent_id,
        extended=extended,
    )


def extended_of(request: Request) -> dict[str, Any]:
    """What ``result_extended`` adds."""
    extended = {
        "name": request.task,
        "args": list(request.args),
        "kwargs": request.kwargs,
        "worker": request.hostname,
        "retries": request.retries,
        "queue": request.delivery_info.get("routing_key"),
    }
    if request.stamped_headers:
        extended["stamped_headers"] = request.stamped_headers
        extended.update(request.stamps)
    return extended
