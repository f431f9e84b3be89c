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
    from workerd.exceptions import Ignore, MaxRetriesExceededError, Reject, Retry
    from workerd_pool.errors import MemoryLimitExceeded

__version__ = "0.1.0"

__all__ = [
    "App",
    "AsyncResult",
    "Ignore",
    "MaxRetriesExceededError",
    "MemoryLimitExceeded",
    "Reject",
    "Retry",
    "Task",
    "bootsteps",
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
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name == "bootsteps":
        return import_module("workerd.bootsteps")
    raise AttributeError(f"module 'workerd' has no attribute {name!r}")
