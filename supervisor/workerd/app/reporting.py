"""States that tasks tell of themselves, and how results are written.

In a child they go up to the supervisor, which stores them; anywhere else they are stored here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from workerd.app.conf import Conf
from workerd.app.request import Request
from workerd.backends import BackendOptions
from workerd.protocol.lenient import printable
from workerd.protocol.result import Coding, Lineage, make_meta

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


def backend_options(conf: Conf) -> BackendOptions:
    """How results are written, from the settings."""
    accept = conf.result_accept_content or conf.accept_content
    coding = Coding(serializer=conf.result_serializer, compression=conf.result_compression, accept=accept)
    return BackendOptions(
        coding=coding,
        expires=conf.result_expires,
        failure_expires=conf.result_failure_expires,
        key_prefix=conf.result_backend_transport_options.get("global_keyprefix", ""),
        socket_timeout=conf.redis_socket_timeout,
        connect_timeout=conf.redis_socket_connect_timeout or 5.0,
        keepalive=conf.redis_socket_keepalive,
        max_connections=conf.redis_max_connections,
        health_check_interval=conf.redis_backend_health_check_interval or 0.0,
        tls=conf.redis_backend_use_ssl or {},
    )
