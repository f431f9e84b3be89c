"""LetterBox: answers to a question, fetched from a list of Redis for a short time.

A server cannot push what is put into a list, so the box is looked into, ever more rarely.  Its list and its
place in the table of the exchange are gone when it is closed, and expire when nobody is left to do that.

Units:  seconds.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from workerd.broadcast.base import OnHeard, Station
from workerd.broadcast.topics import heard_of
from workerd.protocol.envelope import MalformedError
from workerd.source.redis.keys import Keys
from workerd.transport.loop import Cancelable, Loop
from workerd.transport.redis import Command, RedisLink, error_in

logger = logging.getLogger(__name__)

FIRST, GROWTH = 0.1, 1.5
"""Until the first look, and how much longer each further one is waited for."""

TABLE_LIVES = 3600.0
"""How long kombu's clients keep the table of an exchange whose queues expire."""

DEADLINES = "_kombu.binding_deadlines"

CLOSE = """
redis.call('DEL', KEYS[1])
redis.call('SREM', KEYS[2], ARGV[1])
if redis.call('EXISTS', KEYS[2]) == 0 then redis.call('ZREM', KEYS[3], ARGV[2]) end
"""
"""Nothing stays of the last one that goes; the table of others keeps its deadline."""

Send = Callable[[RedisLink], object]


class LetterBox:
    """For a ``station`` behind a direct exchange; ``send`` runs a function with a link, once there is one."""

    def __init__(
        self, keys: Keys, station: Station, on_heard: OnHeard, loop: Loop, send: Callable[[Send], object]
    ) -> None:
        self._list, self._table = keys.list_for(station.queue, 0), keys.table(station.exchange.name)
        self._member = keys.separator.join((station.key, "", station.queue))
        self._deadlines, self._exchange = keys.prefix + DEADLINES, station.exchange.name
        self._on_heard, self._loop, self._send = on_heard, loop, send
        self._delay = FIRST
        self._timer: Cancelable | None = None
        self._closed = False

    def open(self) -> None:
        """Be found by those who answer."""
        until = int((time.time() + TABLE_LIVES) * 1000)
        # GT wants Redis 6.2; on older ones nobody sweeps tables either.
        deadline: Command = ("ZADD", self._deadlines, "GT", until, self._exchange)
        # A link that is cut takes its place nowhere back; whoever asks later makes the table anew.
        expiry: Command = ("EXPIRE", self._table, int(2 * TABLE_LIVES))
        self._send(lambda link: link.send([("SADD", self._table, self._member), expiry, deadline], None))
        self._look_later()

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        keys = (self._list, self._table, self._deadlines)
        gone: Command = ("EVAL", CLOSE, len(keys), *keys, self._member, self._exchange)
        self._send(lambda link: link.send([gone]))

    def _look_later(self) -> None:
        self._timer = self._loop.call_later(self._delay, self._look)
        self._delay *= GROWTH

    def _look(self) -> None:
        self._timer = None
        look: list[Command] = [("MULTI",), ("LRANGE", self._list, 0, -1), ("DEL", self._list), ("EXEC",)]
        self._send(lambda link: link.send(look, self._looked))
        self._look_later()

    def _looked(self, replies: list[Any]) -> None:
        if self._closed:
            return
        if (error := error_in(replies)) is not None:
            logger.warning("Redis does not let this node fetch answers: %s", error)
            self.close()
            return
        for raw in replies[-1][0]:
            try:
                heard = heard_of(raw)
            except MalformedError as exc:
                logger.info("An answer cannot be read: %s", exc)
            else:
                self._loop.call_soon(partial(self._on_heard, heard))
