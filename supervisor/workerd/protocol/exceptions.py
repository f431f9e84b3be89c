"""Exceptions whose names travel in results, and so must be the same for every reader.

Those that Celery knows too are written under Celery's module name, so that its clients raise their own
class; billiard's are written under billiard's.
"""

from __future__ import annotations

import builtins
from datetime import datetime
from typing import Any

# The module under which readers of the wire look for these names.
WIRE_MODULE = "celery.exceptions"


class TaskError(Exception):
    """Base of what went wrong around a task, rather than inside it."""


class TaskPredicate(TaskError):  # noqa: N818 (the name is on the wire)
    """Base of what a task raises to say how its run shall be counted."""


class Ignore(TaskPredicate):
    """The run leaves no result; the message is done."""


class Reject(TaskPredicate):
    """The run refuses its message: back to the queue when ``requeue``, else set aside."""

    def __init__(self, reason: Any = None, requeue: bool = False) -> None:
        super().__init__(reason, requeue)
        self.reason = reason
        self.requeue = requeue

    def __str__(self) -> str:
        return f"reject requeue={self.requeue}: {self.reason}"


class Retry(TaskPredicate):
    """The task has been sent again.  ``when`` is seconds from now, or a time; ``sig`` is what was sent."""

    def __init__(
        self,
        message: str | None = None,
        exc: BaseException | None = None,
        when: float | datetime | None = None,
        is_eager: bool = False,
        sig: Any = None,
    ) -> None:
        super().__init__(message, exc, when)
        self.message = message
        self.exc = exc
        self.when = when
        self.is_eager = is_eager
        self.sig = sig

    def humanize(self) -> str:
        """When it runs again, in words."""
        return f"in {self.when}s" if isinstance(self.when, (int, float)) else f"at {self.when}"

    def __str__(self) -> str:
        if self.message:
            return self.message
        return f"Retry {self.humanize()}" + (f": {self.exc!r}" if self.exc is not None else "")


class MaxRetriesExceededError(TaskError):
    """The task asked for one retry more than it may have."""

    def __init__(self, *args: Any, task_args: Any = (), task_kwargs: Any = None) -> None:
        super().__init__(*args)
        self.task_args = task_args
        self.task_kwargs = task_kwargs if task_kwargs is not None else {}


class NotRegistered(TaskError, KeyError):  # noqa: N818 (the name is on the wire)
    """The worker that took the message does not have this task."""


class TimeoutError(TaskError, builtins.TimeoutError):  # noqa: A001 (the name is on the wire)
    """A result did not come within the given seconds."""


class TaskRevokedError(TaskError):
    """The task was revoked, or it expired, before it ran."""


class InvalidTaskError(TaskError):
    """The message does not hold a call that can be run."""


class IncompleteStream(TaskError):  # noqa: N818 (the name is on the wire)
    """A part of a tree of results has not ended yet."""


class ChordError(TaskError):
    """A member of a chord's header failed."""


class BackendStoreError(Exception):
    """The result backend does not take the result of a task that has ended."""


class TaskExitError(TaskError):
    """A task raised SystemExit or another exception that is meant for the process, not for its result."""


class RemoteError(Exception):
    """Base of the classes made for exceptions that this process does not know."""


ON_THE_WIRE: dict[str, type[Exception]] = {
    cls.__name__: cls
    for cls in (
        TaskError,
        TaskPredicate,
        Ignore,
        Reject,
        Retry,
        MaxRetriesExceededError,
        NotRegistered,
        TimeoutError,
        TaskRevokedError,
        InvalidTaskError,
        IncompleteStream,
        ChordError,
        BackendStoreError,
    )
}
