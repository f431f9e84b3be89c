"""Abandoned: give back what Celery's workers have held for longer than the visibility timeout.

A tag without an owner is Celery's, and its score the time of its delivery.  kombu's own workers restore a
message once that lies too far back, and so do we, to the same lists.  As with them, the timeout is that of
one's own settings: who shares a broker must have the same.

Units:  seconds; scores are Unix time.
Errors: none; what cannot be read or has no queue is told in the log, once, and stays where it is until
        somebody has mended that.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec

from workerd.clock import Clock
from workerd.source.redis.chores import Chores
from workerd.source.redis.envelopes import returning
from workerd.source.redis.owner import owner_of
from workerd.source.redis.recovery import Recovery
from workerd.source.redis.returns import Returns
from workerd.source.redis.routing import queues_for
from workerd.source.redis.scripts import RESTORE

logger = logging.getLogger(__name__)

PAGE = 100
"""Tags that are looked at together; a script moves no more messages than that."""

SLOWEST = 30.0
"""Between two looks."""

LEFT = 600.0
"""For how long what has no place to go is not looked at again."""


class Entry(msgspec.Struct, frozen=True):
    """A message in flight, as kombu files it."""

    tag: str
    raw: bytes
    exchange: str
    routing_key: str


_decode = msgspec.json.Decoder(tuple[msgspec.Raw, str | None, str | None]).decode


def entry_of(tag: str, entry: bytes) -> Entry:
    """Read ``[message, exchange, routing key]``; ValueError or TypeError for anything else."""
    try:
        raw, exchange, routing_key = _decode(entry)
    except (msgspec.DecodeError, UnicodeDecodeError):
        # Python writes what is no JSON to others, such as NaN.
        message, exchange, routing_key = json.loads(entry)
        raw = msgspec.Raw(json.dumps(message).encode())
    return Entry(tag, bytes(raw), exchange or "", routing_key or "")


class Abandoned:
    """Looks each quarter of ``timeout``, and each half a minute at least."""

    def __init__(self, recovery: Recovery, returns: Returns, clock: Clock, timeout: float) -> None:
        self._calls, self._keys, self._read = recovery.calls, recovery.keys, recovery.read
        self._returns, self._clock, self._timeout = returns, clock, timeout
        self._left: set[str] = set()  # tags that are left alone, until then
        self._left_until = 0.0
        self._told: set[str] = set()
        self._looking = False

    def start(self, chores: Chores) -> None:
        chores.every(min(self._timeout / 4, SLOWEST), self.look)

    def look(self) -> None:
        """Go through all that is too old, page by page."""
        if not self._looking:
            self._looking = True
            if self._clock.now() >= self._left_until:
                self._left.clear()
                self._left_until = self._clock.now() + LEFT
            self._page(f"{self._clock.wall() - self._timeout:.3f}", 0)

    def _page(self, ceiling: str, start: int) -> None:
        index = ("ZRANGE", self._keys.index, "-inf", ceiling, "BYSCORE", "LIMIT", start, PAGE)
        self._calls.send([index], partial(self._aged, ceiling, start))

    def _aged(self, ceiling: str, start: int, replies: list[Any]) -> None:
        names = [tag.decode(errors="replace") for tag in replies[0]]
        tags = [tag for tag in names if owner_of(tag) is None and tag not in self._left]
        if tags:
            self._calls.send([("HMGET", self._keys.unacked, *tags)], partial(self._found, ceiling, tags))
        if len(names) == PAGE:
            self._page(ceiling, start + PAGE)
        else:
            self._looking = False

    def _found(self, ceiling: str, tags: Sequence[str], replies: list[Any]) -> None:
        entries = []
        for tag, content in zip(tags, replies[0], strict=True):
            try:
                if content is not None:
                    entries.append(entry_of(tag, content))
            except (ValueError, TypeError):
                self._leave(tag, "it cannot be read")
        exchanges = sorted({entry.exchange for entry in entries} - {""})
        if exchanges:
            tables = [("SMEMBERS", self._keys.table(exchange)) for exchange in exchanges]
            self._calls.send(tables, partial(self._routed, ceiling, entries, exchanges))
        elif entries:
            self._routed(ceiling, entries, [], [])

    def _routed(
        self, ceiling: str, entries: Sequence[Entry], exchanges: Sequence[str], replies: list[Any]
    ) -> None:
        tables = dict(zip(exchanges, replies, strict=True))
        lists: list[str] = []
        args: list[str | bytes] = [ceiling]
        # Each is put before those that were moved already, and the oldest is to be the next.
        for entry in reversed(entries):
            raw, names = self._returning(entry, tables)
            lists += [name for name in names if name not in lists]
            if names:
                args += (entry.tag, ",".join(str(lists.index(name) + 3) for name in names), raw)
        if lists:
            keys = [self._keys.unacked, self._keys.index, *lists]
            self._returns.send(RESTORE, keys, args, self._returned)

    def _returning(self, entry: Entry, tables: Mapping[str, Iterable[bytes]]) -> tuple[bytes, list[str]]:
        """The bytes to give back, and the lists for them; none when nobody takes such messages."""
        if entry.exchange:
            queues = queues_for(entry.routing_key, tables[entry.exchange], self._keys.separator)
        else:
            queues = [entry.routing_key] if entry.routing_key else []
        if not queues:
            self._leave(entry.tag, f"no queue takes {entry.routing_key!r} from exchange {entry.exchange!r}")
        raw, names = entry.raw, []
        for queue in queues:
            name, raw = returning(self._read(entry.tag, queue, entry.raw), self._keys)
            names.append(name)
        return raw, names

    def _returned(self, count: int) -> None:
        if count:
            logger.warning(
                "Gave back %d of Celery's messages, which were held for longer than the visibility timeout, "
                "%g s",
                count,
                self._timeout,
            )

    def _leave(self, tag: str, why: str) -> None:
        self._left.add(tag)
        if tag in self._told:
            return
        self._told.add(tag)
        logger.error("What a Celery worker has in flight as %s is left as it is: %s", tag, why)
