"""What can go wrong between the host and its pool, and what interrupts a job."""

from __future__ import annotations

from billiard.exceptions import SoftTimeLimitExceeded


class PoolError(Exception):
    """Base of the errors of this package."""


class PoolBusyError(PoolError):
    """No child has room for one more job; ``on_free`` tells when one has."""


class PoolClosedError(PoolBusyError):
    """The pool was closed or terminated and takes no jobs any more."""


class PlatformError(PoolError):
    """This kernel cannot carry the pool; the message says what is missing."""


class LoadError(PoolError):
    """Raised by an entry that knows itself why it cannot load: one line for people, told as it stands, and
    the traceback to show with it, which may be empty."""

    def __init__(self, reason: str, traceback: str = "") -> None:
        super().__init__(reason, traceback)
        self.reason, self.traceback = reason, traceback


class ProtocolError(PoolError):
    """A frame breaks the rules: its sender is not to be trusted any more."""


class SoftStop(SoftTimeLimitExceeded):  # type: ignore[misc]  # billiard has no types
    """Raised in a job because its host stops: whoever cleans up at the soft limit cleans up now too."""


class MemoryLimitExceeded(MemoryError):  # noqa: N818 (it stands beside SoftTimeLimitExceeded)
    """Raised in a job whose child has more memory than the soft limit; at most once a job."""


class JobTerminated(BaseException):
    """Raised in a job that somebody has ordered to end.

    Not an Exception, as KeyboardInterrupt is none: ``except Exception`` does not catch it.
    """


INTERRUPTIONS: tuple[type[BaseException], ...] = (
    SoftTimeLimitExceeded,
    MemoryLimitExceeded,
    JobTerminated,
)
"""Whatever may be raised in a job from outside."""
