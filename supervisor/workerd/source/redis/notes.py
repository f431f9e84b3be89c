"""Notes: how many deaths whoever takes our work over shall count for each message, should we die.

What a node's messages have killed, and which of them run, is in its memory and on its disk, where no other
node can read it.  So a count is kept in Redis for those that do not tell the same themselves.  It is
written a moment late, so that many cost one command.

Units: seconds.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import partial
from typing import Any

from workerd.source.base import Delivery, counted_in_it
from workerd.source.redis.calls import Calls
from workerd.source.redis.inflight import STAY
from workerd.source.redis.keys import Keys
from workerd.transport.loop import Cancelable, Loop
from workerd.transport.redis import Command

DELAY = 0.1
"""What is taken back within this time is never written."""


class Notes:
    """The counts under the name of ``owner``; best effort, and gone some time after their owner."""

    def __init__(self, calls: Calls, keys: Keys, owner: str, loop: Loop) -> None:
        self._calls, self._key, self._loop = calls, keys.deaths(owner), loop
        self._wanted: dict[str, int] = {}
        self._written: dict[str, int] = {}
        self._struck: list[str] = []
        self._timer: Cancelable | None = None

    def start(self, known: Collection[Any]) -> None:
        """What was written over earlier links stands, of the tags that are ``known`` yet."""
        self._calls.send([("HGETALL", self._key)], partial(self._found, known))

    def stop(self) -> None:
        """May be called twice."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def note(self, delivery: Delivery, deaths: int) -> None:
        """Whoever takes this one over counts so many."""
        if deaths == self._written.get(delivery.tag, counted_in_it(delivery)):
            self._wanted.pop(delivery.tag, None)
        else:
            self._wanted[delivery.tag] = deaths
            if delivery.redelivered and deaths:
                # It may be what ended the last node, and be quick about it: written before it runs.
                self._write()
            else:
                self._soon()

    def forget(self, tags: Iterable[str]) -> None:
        """These are in flight no more."""
        for tag in tags:
            self._wanted.pop(tag, None)
            if self._written.pop(tag, None) is not None:
                self._struck.append(tag)
                self._soon()

    def _found(self, known: Collection[Any], replies: list[Any]) -> None:
        self._written = pairs_of(replies[0]) | self._written
        self.forget([tag for tag in self._written if tag not in known])

    def _soon(self) -> None:
        if self._timer is None:
            self._timer = self._loop.call_later(DELAY, self._write)

    def _write(self) -> None:
        self.stop()
        wanted, self._wanted = self._wanted, {}
        struck, self._struck = self._struck, []
        commands: list[Command] = []
        if struck:
            commands.append(("HDEL", self._key, *struck))
        if wanted:
            commands.append(("HSET", self._key, *(word for pair in wanted.items() for word in pair)))
            commands.append(("PEXPIRE", self._key, STAY))
        self._written |= wanted
        # A server that is out of memory may refuse it, and takes work all the same.
        if commands:
            self._calls.attempt(commands)


def pairs_of(reply: Any) -> dict[str, int]:
    """The counts in an answer to HGETALL, which is a mapping in RESP3, and null for no hash in Redis 6.2."""
    reply = reply or ()
    pairs = reply.items() if isinstance(reply, dict) else zip(reply[::2], reply[1::2], strict=True)
    return {tag.decode(): int(count) for tag, count in pairs}
