"""workerd_pool: a prefork pool for any event loop.

A template process imports the code once; children fork from it, belong to the supervisor, and run
one opaque job at a time.  README.md is the contract.
"""

from __future__ import annotations

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
