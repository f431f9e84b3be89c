"""Every exception that an app author meets: what tasks may raise, what interrupts them, what results raise.

Celery's names are here where they mean the same; those of limits and of lost children are billiard's own,
so that ``except SoftTimeLimitExceeded`` means one class wherever it was imported from.
"""

from billiard.exceptions import SoftTimeLimitExceeded, TimeLimitExceeded, WorkerLostError

from workerd.protocol.exceptions import (
    BackendStoreError,
    ChordError,
    Ignore,
    InvalidTaskError,
    MaxRetriesExceededError,
    NotRegistered,
    Reject,
    RemoteError,
    Retry,
    TaskError,
    TaskExitError,
    TaskPredicate,
    TaskRevokedError,
    TimeoutError,  # noqa: A004 (it is a subclass of the builtin)
)
from workerd_pool.errors import JobTerminated, MemoryLimitExceeded, SoftStop

__all__ = [
    "BackendStoreError",
    "ChordError",
    "Ignore",
    "InvalidTaskError",
    "JobTerminated",
    "MaxRetriesExceededError",
    "MemoryLimitExceeded",
    "NotRegistered",
    "Reject",
    "RemoteError",
    "Retry",
    "SoftStop",
    "SoftTimeLimitExceeded",
    "TaskError",
    "TaskExitError",
    "TaskPredicate",
    "TaskRevokedError",
    "TimeLimitExceeded",
    "TimeoutError",
    "WorkerLostError",
]
