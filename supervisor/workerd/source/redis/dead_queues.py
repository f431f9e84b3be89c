"""The dead queues on Redis: lists whose newest entry is at the head.

Pages are read from the tail, where nothing is added.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import msgspec

from workerd.protocol.dead import Letter, open_entry
from workerd.protocol.message import MalformedError, Message, message_from_redis
from workerd.protocol.rewriting import sent_anew
from workerd.source.dead_queues import TIMEOUT, DeadLetter, Wanted
from workerd.source.redis.dead_scripts import PURGE, REQUEUE
from workerd.source.redis.keys import Keys
from workerd.source.redis.scripts import Script
from workerd.transport.address import RedisAddress
from workerd.transport.blocking import open_blocking

PAGE = 100


class RedisDeadQueues:
    """Over one connection, opened at once; redis-py's errors go up."""

    def __init__(self, address: RedisAddress, keys: Keys) -> None:
        self._keys = keys
        self._connection, _ = open_blocking(address, TIMEOUT)

    def names(self) -> set[str]:
        return {name.decode() for name in self._call("SMEMBERS", self._keys.dead_queues)}

    def count(self, queue: str) -> int:
        return int(self._call("LLEN", self._keys.dead(queue)))

    def scan(self, queue: str) -> Iterator[DeadLetter]:
        return (letter for letter, _ in self._walk(queue, lambda *_: False))

    def requeue(self, queue: str, wanted: Wanted) -> Iterator[DeadLetter]:
        def move(letter: DeadLetter, entry: bytes) -> bool:
            return wanted(letter) and self._move(letter, entry)

        return (letter for letter, moved in self._walk(queue, move) if moved)

    def purge(self, queue: str) -> int:
        return int(self._script(PURGE, [self._keys.dead(queue), self._keys.dead_queues], [queue]))

    def close(self) -> None:
        self._connection.disconnect()

    def _walk(
        self, queue: str, move: Callable[[DeadLetter, bytes], bool]
    ) -> Iterator[tuple[DeadLetter, bool]]:
        """All that are there now, each with whether ``move`` has taken it out of the list."""
        name, left, behind = self._keys.dead(queue), self.count(queue), 0
        while left > 0:
            page = self._call("LRANGE", name, -(behind + min(PAGE, left)), -(behind + 1))
            if not page:
                return
            left -= len(page)
            for entry in reversed(page):
                letter = _read(queue, entry)
                moved = move(letter, entry)
                behind += not moved
                yield letter, moved

    def _move(self, letter: DeadLetter, entry: bytes) -> bool:
        try:
            raw = sent_anew(letter.raw, str(uuid4()))
        except MalformedError:
            raw = letter.raw
        origin = letter.letter.queue
        priority = letter.message.priority if letter.message is not None else 0
        keys = [self._keys.dead(letter.queue), self._keys.list_for(origin, priority)]
        return bool(self._script(REQUEUE, keys, [entry, raw]))

    def _script(self, script: Script, keys: list[str], args: list[Any]) -> Any:
        return self._call("EVAL", script.text, len(keys), *keys, *args)

    def _call(self, *words: Any) -> Any:
        self._connection.send_command(*words)
        return self._connection.read_response()


def _read(queue: str, entry: bytes) -> DeadLetter:
    try:
        letter, raw = open_entry(entry)
    except MalformedError as exc:
        return DeadLetter(Letter(reason=f"no letter: {exc}", queue=queue, time=0.0), queue, entry, {}, None)
    try:
        message: Message | None = message_from_redis(raw)
        headers = msgspec.json.decode(raw)["headers"]
    except (MalformedError, msgspec.MsgspecError, ValueError, RecursionError):
        message, headers = None, {}
    return DeadLetter(letter, queue, raw, headers, message)
