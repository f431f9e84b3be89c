"""Returns: scripts that put what others had in flight back into its lists, in the rounds of the source."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from workerd.source.redis.calls import Calls
from workerd.source.redis.scripts import Script
from workerd.transport.redis import ReplyError, Word

logger = logging.getLogger(__name__)

Then = Callable[[int], object]


class Returns:
    """``ask`` asks for a round; ``moved`` is told that messages are in their lists again."""

    def __init__(self, calls: Calls, ask: Callable[[], object], moved: Callable[[], object]) -> None:
        self._calls, self._ask, self._moved = calls, ask, moved
        self._waiting: list[tuple[Script, Sequence[str], Sequence[Word], Then]] = []

    def send(self, script: Script, keys: Sequence[str], args: Sequence[Word], then: Then) -> None:
        """Run ``script`` in the next round; ``then`` gets its answer, the number of messages moved."""
        self._waiting.append((script, keys, args, then))
        self._ask()

    def flush(self) -> int:
        """Send all that waits; return the number of scripts."""
        waiting, self._waiting = self._waiting, []
        for script, keys, args, then in waiting:
            refused = partial(self._refused, keys, then)
            self._calls.script(script, keys, args, partial(self._answered, then), refused=refused)
        return len(waiting)

    def _answered(self, then: Then, replies: list[Any]) -> None:
        count: int = replies[0]
        if count > 0:
            self._moved()
        then(count)

    def _refused(self, keys: Sequence[str], then: Then, error: ReplyError) -> bool:
        """A list that is none is no reason to lose the link, over which other queues are served."""
        if "WRONGTYPE" not in str(error):  # before 7.0 other words come first
            return False
        logger.error("Messages in flight cannot be given back, to one of %s: %s", ", ".join(keys), error)
        then(0)
        return True
