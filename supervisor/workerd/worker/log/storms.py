"""Storms: the same told a thousand times a second is told fifty times, and then how often it came.

Records are the same when logger, level and template are.  Lines of tasks are never left out: each is
about another task, and what tasks print is theirs.

Units:  seconds since the epoch, as records have it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator

import msgspec

SECOND = 1.0
REPORT = 10.0
"""How long a storm is counted before the count is told."""

MOST = 1000
"""Templates that are remembered; a logger that puts values into them would fill the memory."""

BARE = frozenset({"%s", "%r", "{}"})
"""Templates that say nothing by themselves."""

Key = tuple[str, int, str]


class _Kind(msgspec.Struct):
    began: float
    seen: int = 0
    left_out: int = 0


class Storms:
    """``limit`` records of a kind in one second, and then none for ``REPORT`` seconds; 0 for no limit."""

    def __init__(self, limit: int, exempt: str) -> None:
        self.limit, self._exempt = limit, exempt
        self._pid = os.getpid()
        self._kinds: dict[Key, _Kind] = {}
        self.until = float("inf")
        """When the count of a storm is to be told."""

    def lets_pass(self, record: logging.LogRecord) -> bool:
        """Count this one; False when it is one too many."""
        if not self.limit or self._is_exempt(record):
            return True
        now, key = record.created, key_of(record)
        kind = self._kinds.get(key)
        if kind is None:
            if len(self._kinds) >= MOST:
                self._forget()
            kind = self._kinds[key] = _Kind(now)
        if not kind.left_out and now - kind.began >= SECOND:
            kind.began, kind.seen = now, 0
        kind.seen += 1
        if kind.seen <= self.limit:
            return True
        if not kind.left_out:
            kind.began = now
            self.until = min(self.until, now + REPORT)
        kind.left_out += 1
        return False

    def over(self, now: float) -> Iterator[logging.LogRecord]:
        """What is to be told by ``now``, a record for each storm; infinity for all of them."""
        due = [item for item in self._kinds.items() if item[1].left_out and now >= item[1].began + REPORT]
        for key, kind in due:
            del self._kinds[key]
            (name, level, template), seconds = key, REPORT
            text = "… %d more like this in %.0f s: %s"
            record = logging.LogRecord(name, level, "", 0, text, (kind.left_out, seconds, template), None)
            record.data = {"event": "log.storm", "count": kind.left_out, "seconds": seconds}
            yield record
        ends = (kind.began + REPORT for kind in self._kinds.values() if kind.left_out)
        self.until = min(ends, default=float("inf"))

    def _is_exempt(self, record: logging.LogRecord) -> bool:
        # What comes from a child is its task's; at DEBUG somebody wants to see everything.
        return (
            record.levelno <= logging.DEBUG
            or record.process != self._pid
            or record.name == self._exempt
            or record.name.startswith(f"{self._exempt}.")
        )

    def _forget(self) -> None:
        """All but storms that go on, so that what is kept has an end."""
        self._kinds = {key: kind for key, kind in self._kinds.items() if kind.left_out}
        if len(self._kinds) >= MOST:
            self._kinds.clear()


def key_of(record: logging.LogRecord) -> Key:
    """What makes two records the same."""
    template = str(record.msg)
    if template in BARE:
        template = record.getMessage()
    return record.name, record.levelno, template[:200]
