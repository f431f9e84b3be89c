"""The Worker blueprint: the supervisor's own parts, and the consumer in them.

Names load on first use, because the command line asks this package for ``run_daemon`` alone.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workerd.worker.components import Hub
    from workerd.worker.controller import WorkController
    from workerd.worker.run import run_daemon

__all__ = ["Hub", "WorkController", "run_daemon"]

_HOMES = {
    "WorkController": "workerd.worker.controller",
    "Hub": "workerd.worker.components",
    "run_daemon": "workerd.worker.run",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'workerd.worker' has no attribute {name!r}")
