"""Exceptions for app authors: what a task may raise, and what results raise."""

from workerd.protocol.exceptions import (
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

__all__ = [
    "ChordError",
    "Ignore",
    "InvalidTaskError",
    "MaxRetriesExceededError",
    "NotRegistered",
    "Reject",
    "RemoteError",
    "Retry",
    "TaskError",
    "TaskExitError",
    "TaskPredicate",
    "TaskRevokedError",
    "TimeoutError",
]
