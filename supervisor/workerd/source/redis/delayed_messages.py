"""The messages that wait in Redis for their ETA, read page by page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from workerd.errors import WorkerdError
from workerd.protocol.message import MalformedError, Message, message_from_redis
from workerd.source.dead_queues import TIMEOUT
from workerd.source.delayed import Waiting
from workerd.source.redis.delayed import MOST, PATIENCE, split_delayed
from workerd.source.redis.keys import Keys
from workerd.source.redis.scripts import MOVE, TALLY
from workerd.transport.address import RedisAddress
from workerd.transport.blocking import open_blocking

PAGE, TALLIED = 100, 5000


class RedisDelayedMessages:
    """Over one connection, opened at once; redis-py's errors go up."""

    listed = True

    def __init__(self, address: RedisAddress, keys: Keys) -> None:
        self._keys = keys
        self._connection, _ = open_blocking(address, TIMEOUT)

    def counts(self) -> Mapping[str, int]:
        found: Counter[str] = Counter()
        for first in range(0, int(self._call("ZCARD", self._keys.delayed)), TALLIED):
            page = (first, first + TALLIED - 1)
            names = self._call("EVAL", TALLY.text, 1, self._keys.delayed, *page)
            for name, count in zip(names[::2], names[1::2], strict=True):
                found[self._keys.queue_of(name.decode())] += int(count)
        return found

    def scan(self) -> Iterator[Waiting]:
        first = 0
        while entries := self._call("ZRANGE", self._keys.delayed, first, first + PAGE - 1):
            first += len(entries)
            for entry in entries:
                due = float(self._call("ZSCORE", self._keys.delayed, entry) or 0)
                yield self._read(entry, due)

    def nodes(self) -> list[str]:
        owners = sorted(name.decode() for name in self._call("SMEMBERS", self._keys.owners))
        return [name for name in owners if self._call("EXISTS", self._keys.lease(name))]

    def flush(self) -> int:
        # No more than there are now: daemons that are up put back what is sent, and that would have no end.
        most, total, moved, left, problem = int(self._call("ZCARD", self._keys.delayed)), 0, 1, 0, b""
        while moved and total < most:
            words = ("EVAL", MOVE.text, 1, self._keys.delayed, min(MOST, most - total), PATIENCE, "all")
            moved, left, _now, _next, problem = self._call(*words)
            total += moved
        if problem:
            raise WorkerdError(
                f"{total} sent to their queues, {left} stay: {problem.decode(errors='replace')}",
                "see with `workerd delayed list` for which queues; mend their lists, and flush again",
            )
        return total

    def close(self) -> None:
        self._connection.disconnect()

    def _read(self, entry: bytes, due: float) -> Waiting:
        try:
            name, raw = split_delayed(entry)
        except ValueError:
            return Waiting("?", due, entry, None)
        try:
            message: Message | None = message_from_redis(raw)
        except MalformedError:
            message = None
        return Waiting(self._keys.queue_of(name), due, raw, message)

    def _call(self, *words: Any) -> Any:
        self._connection.send_command(*words)
        return self._connection.read_response()
