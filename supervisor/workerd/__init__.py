"""workerd: a background-task daemon that speaks the Celery wire protocol.

What an app author needs is here: ``from workerd import App, bootsteps``.  Names load on first use
(PEP 562), so that the operators' verbs start without kombu and without the app.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workerd import bootsteps
    from workerd.app import App, AsyncResult, Task
    from workerd.app.canvas.kinds import chain, chord, chunks, group, signature, subtask, xmap, xstarmap
    from workerd.app.canvas.signature import Signature, maybe_signature
    from workerd.app.canvas.stamping import StampingVisitor
    from workerd.app.results.group import GroupResult, ResultSet
    from workerd.app.sending.queues import worker_direct
    from workerd.exceptions import Ignore, MaxRetriesExceededError, Reject, Retry
    from workerd_pool.errors import MemoryLimitExceeded

__version__ = "0.1.0"

__all__ = [
    "App",
    "AsyncResult",
    "GroupResult",
    "Ignore",
    "MaxRetriesExceededError",
    "MemoryLimitExceeded",
    "Reject",
    "ResultSet",
    "Retry",
    "Signature",
    "StampingVisitor",
    "Task",
    "bootsteps",
    "chain",
    "chord",
    "chunks",
    "group",
    "maybe_signature",
    "signature",
    "subtask",
    "worker_direct",
    "xmap",
    "xstarmap",
]

_HOMES = {
    "App": "workerd.app",
    "AsyncResult": "workerd.app",
    "Task": "workerd.app",
    "Ignore": "workerd.exceptions",
    "MaxRetriesExceededError": "workerd.exceptions",
    "MemoryLimitExceeded": "workerd_pool.errors",
    "Reject": "workerd.exceptions",
    "Retry": "workerd.exceptions",
    "GroupResult": "workerd.app.results.group",
    "ResultSet": "workerd.app.results.group",
    "Signature": "workerd.app.canvas.signature",
    "StampingVisitor": "workerd.app.canvas.stamping",
    "chain": "workerd.app.canvas.kinds",
    "chord": "workerd.app.canvas.kinds",
    "group": "workerd.app.canvas.kinds",
    "maybe_signature": "workerd.app.canvas.signature",
    "signature": "workerd.app.canvas.kinds",
    "subtask": "workerd.app.canvas.kinds",
    "chunks": "workerd.app.canvas.kinds",
    "xmap": "workerd.app.canvas.kinds",
    "xstarmap": "workerd.app.canvas.kinds",
    "worker_direct": "workerd.app.sending.queues",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name == "bootsteps":
        return import_module("workerd.bootsteps")
    raise AttributeError(f"module 'workerd' has no attribute {name!r}")
