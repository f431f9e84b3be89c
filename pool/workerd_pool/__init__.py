"""workerd_pool: a prefork pool for any event loop.

A template process imports the code once; children fork from it, belong to the supervisor, and run
one opaque job at a time.  README.md is the contract.

Names load on first use (PEP 562): a template and its children have no use for the parent's side.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workerd_pool.contract import (
        ChildInfo,
        Interruption,
        Job,
        Line,
        Listener,
        Loop,
        Report,
        Runner,
        Spec,
    )
    from workerd_pool.death import Cause, Death
    from workerd_pool.errors import (
        INTERRUPTIONS,
        JobTerminated,
        LoadError,
        MemoryLimitExceeded,
        PlatformError,
        PoolBusyError,
        PoolClosedError,
        PoolError,
        ProtocolError,
        SoftStop,
    )
    from workerd_pool.headroom import Headroom, MemoryBudget, Pressure, Reading
    from workerd_pool.pool import Pool
    from workerd_pool.reaper import Reaper
    from workerd_pool.records import RecordHandler

__all__ = [
    "INTERRUPTIONS",
    "Cause",
    "ChildInfo",
    "Death",
    "Headroom",
    "Interruption",
    "Job",
    "JobTerminated",
    "Line",
    "Listener",
    "LoadError",
    "Loop",
    "MemoryBudget",
    "MemoryLimitExceeded",
    "PlatformError",
    "Pool",
    "PoolBusyError",
    "PoolClosedError",
    "PoolError",
    "Pressure",
    "ProtocolError",
    "Reading",
    "Reaper",
    "RecordHandler",
    "Report",
    "Runner",
    "SoftStop",
    "Spec",
]

_HOMES = {
    "contract": (
        "ChildInfo",
        "Interruption",
        "Job",
        "Line",
        "Listener",
        "Loop",
        "Report",
        "Runner",
        "Spec",
    ),
    "death": (
        "Cause",
        "Death",
    ),
    "errors": (
        "INTERRUPTIONS",
        "JobTerminated",
        "LoadError",
        "MemoryLimitExceeded",
        "PlatformError",
        "PoolBusyError",
        "PoolClosedError",
        "PoolError",
        "ProtocolError",
        "SoftStop",
    ),
    "headroom": (
        "Headroom",
        "MemoryBudget",
        "Pressure",
        "Reading",
    ),
    "pool": ("Pool",),
    "reaper": ("Reaper",),
    "records": ("RecordHandler",),
}


def __getattr__(name: str) -> Any:
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"workerd_pool.{module}"), name)
    raise AttributeError(f"module 'workerd_pool' has no attribute {name!r}")
