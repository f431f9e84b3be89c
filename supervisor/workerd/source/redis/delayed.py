"""The delayed: messages in a sorted set until their ETA, and the mover that takes them to their queues.

An entry is ``<length of the list's name> <a word of its own> <list's name><message>``: the script that
moves it has not to look into the message, and two equal messages are two entries.

Every node moves what is due, each second and at the time of the next; whoever comes first moves it.  What is
due goes by the clock of the broker alone, so nodes whose clocks differ do the same.

Units: seconds; scores are Unix time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from workerd.protocol.message import MalformedError
from workerd.protocol.rewriting import set_deaths
from workerd.source.base import Delivery
from workerd.source.redis.calls import Calls
from workerd.source.redis.envelopes import BATCH
from workerd.source.redis.keys import Keys
from workerd.source.redis.scripts import MOVE
from workerd.transport.loop import Cancelable, Loop
from workerd.transport.redis import ReplyError

logger = logging.getLogger(__name__)

MOST = 500
"""Messages that one script moves; others wait while it runs."""

PATIENCE = 60
"""Until a list that could not be written to is tried again."""

NET = 1.0
"""Between two looks; what is due sooner than the next has one of its own."""

FURTHEST = 1e12
"""No score is later: an ETA in 30,000 years is one that never comes."""


class Delayed:
    """Looks at the delayed over one link, in the rounds of the source.

    ``round_`` asks for a round, in which ``flush`` is called; ``moved`` is told that messages are in their
    lists again.
    """

    def __init__(
        self,
        calls: Calls,
        keys: Keys,
        loop: Loop,
        round_: Callable[[], object],
        moved: Callable[[], object],
    ) -> None:
        self._calls, self._keys, self._loop, self._round, self._moved = calls, keys, loop, round_, moved
        self._now: float | None = None  # by the broker, when it was last asked
        self._turn: Cancelable | None = None  # the next is due
        self._asked = self._under_way = self._told = False
        self.count = 0
        """How many there are, when the broker was last asked."""

    def can_park(self, due: float) -> bool:
        """False for what would come back at once, and while the broker's clock is not known."""
        return self._now is not None and due > self._now + NET

    def ask(self) -> None:
        """Look in the next round; called each second."""
        self._asked = True
        self._round()

    def flush(self) -> None:
        """A round has come: move what is due."""
        if not self._asked or self._under_way:
            return
        self._asked, self._under_way = False, True
        self.stop()
        args = (MOST, PATIENCE, "")
        self._calls.script(MOVE, [self._keys.delayed], args, self._looked, refused=self._refused)

    def stop(self) -> None:
        """Forget when the next is due.  May be called twice."""
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None

    def _looked(self, replies: list[Any]) -> None:
        self._under_way = False
        moved, self.count, now, due, problem = replies[0]
        self._now = float(now)
        if problem:
            logger.error(
                "A message that is due cannot go to its list (%s); tried again in %d s",
                problem.decode(errors="replace"),
                PATIENCE,
            )
        if moved:
            self._moved()
        if moved == MOST:
            self.ask()
        elif due and (ahead := float(due) - self._now) < NET:
            self._turn = self._loop.call_later(max(ahead, 0.001), self.ask)

    def _refused(self, error: ReplyError) -> bool:
        """A user who may not do this can do all else: what has an ETA waits here then."""
        # Redis 7.0 and 6.2 have words of their own for what a script may not do.
        if "NOPERM" not in str(error) and "user executing the script" not in str(error):
            return False
        self._under_way, self._now = False, None
        if not self._told:
            self._told = True
            logger.error(
                "Tasks with a late ETA stay in this daemon, and those in the broker there: %s", error
            )
        return True


def parking(deliveries: Sequence[Delivery], keys: Keys) -> Iterator[tuple[list[str | bytes], list[str]]]:
    """The arguments and tags of scripts that park ``deliveries`` until they are due."""
    for start in range(0, len(deliveries), BATCH):
        batch = deliveries[start : start + BATCH]
        args: list[str | bytes] = []
        for delivery in batch:
            assert delivery.due is not None
            args += (delivery.tag, f"{min(delivery.due, FURTHEST):.6f}", entry_of(delivery, keys))
        yield args, [delivery.tag for delivery in batch]


def entry_of(delivery: Delivery, keys: Keys) -> bytes:
    """What stands for ``delivery`` among the delayed."""
    priority = delivery.message.priority if delivery.message is not None else 0
    name = keys.list_for(delivery.queue, priority).encode()
    raw = delivery.raw
    if delivery.counted:
        with suppress(MalformedError):
            raw = set_deaths(raw, delivery.deaths)
    word = delivery.tag.rpartition(":")[2].encode()
    return b"%d %s %s%s" % (len(name), word, name, raw)


def split_delayed(entry: bytes) -> tuple[str, bytes]:
    """The name of the list, and the message.  Errors: ValueError for an entry that is none."""
    size, _word, rest = entry.split(b" ", 2)
    return rest[: int(size)].decode(), rest[int(size) :]
