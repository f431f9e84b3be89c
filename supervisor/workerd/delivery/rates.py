"""Rate limits: which tasks may begin only so often on this node, and the buckets that say when.

A limit is the node's, whatever pool its tasks run in.  What waits for its turn is with the turnstile of
its lane; here is only what all of them draw from.

Units:  rates are starts a second; waits are seconds.
Errors: none of a bucket that a step has brought: what it raises is logged, and its task waits.
"""

from __future__ import annotations

import logging
from collections import UserDict
from collections.abc import Callable
from typing import TYPE_CHECKING

from workerd.delivery.bucket import Bucket, TokenBucket

if TYPE_CHECKING:
    from workerd.clock import Clock

logger = logging.getLogger(__name__)

AGAIN = 1.0
"""Until a bucket that has raised is asked again."""


class Buckets(UserDict[str, Bucket | None]):
    """Buckets by the name of their task, None for one without a limit; ``on_change(task)`` hears of each."""

    def __init__(self, on_change: Callable[[str], object]) -> None:
        self._on_change = on_change
        super().__init__()

    def __missing__(self, task: str) -> None:
        return None

    def __setitem__(self, task: str, bucket: Bucket | None) -> None:
        if bucket is None:
            self.data.pop(task, None)
        else:
            self.data[task] = bucket
        self._on_change(task)

    def __delitem__(self, task: str) -> None:
        self[task] = None


class Rates:
    """The buckets of one node; ``on_change(task)`` is called when a limit comes, goes or changes."""

    def __init__(self, clock: Clock, on_change: Callable[[str], object]) -> None:
        self._clock, self._on_change = clock, on_change
        self.buckets = Buckets(self._changed)
        self.limited = self.buckets.data
        """The limited tasks alone: empty where nothing is limited, so that asking costs nothing."""
        self._made: dict[str, TokenBucket] = {}
        self._told: set[str] = set()  # of whom it was logged that their bucket raises

    def limit(self, task: str, rate: float) -> None:
        """Let ``task`` begin ``rate`` times a second, 0 for no limit.

        A bucket that a step has put in is left there, and one that goes on keeps what is in it.
        """
        made, found = self._made.get(task), self.limited.get(task)
        if found is not None and found is not made:
            return
        if not rate:
            if self._made.pop(task, None) is not None:
                self.buckets[task] = None
        elif made is None or found is None:
            self.buckets[task] = self._made[task] = TokenBucket(rate, now=self._clock.now)
        elif rate != made.fill_rate:
            made.fill_rate = rate
            self._changed(task)

    def take(self, task: str) -> bool:
        """Take a token for a start of this limited task; False when there is none."""
        try:
            bucket = self.limited[task]
            # kombu's own buckets have another name for it.
            consume = getattr(bucket, "consume", None) or bucket.can_consume  # type: ignore[union-attr]
            return bool(consume(1))
        except Exception as exc:  # noqa: BLE001 (a step's own code)
            self._tell(task, exc)
            return False

    def wait(self, task: str, tokens: int = 1) -> float:
        """Seconds until so many starts more of it can have begun."""
        try:
            bucket = self.limited[task]
            return max(float(bucket.expected_time(tokens)), 0.0)  # type: ignore[union-attr]
        except Exception as exc:  # noqa: BLE001 (a step's own code)
            self._tell(task, exc)
            return AGAIN

    def _changed(self, task: str) -> None:
        self._told.discard(task)
        self._on_change(task)

    def _tell(self, task: str, exc: Exception) -> None:
        if task not in self._told:
            self._told.add(task)
            logger.error("The bucket of %s failed, so that task waits: %r", task, exc, exc_info=exc)
