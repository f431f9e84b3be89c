"""Chords counted in Redis, under Celery's keys and by its rules, so that its workers and ours share a header.

Below ``celery-taskset-meta-<group>``: ``.s`` is how many parts there are, ``.t`` how many were added since;
``.j`` holds the parts, in the order of their ``group_index`` (a list where ``result_chord_ordered`` is off);
``.d`` names those that were counted, by task and index, so that a call that runs twice counts once; ``.c`` is
the claim of who sends the body, then the word ``done``.  Celery 5.6 and older know ``.s``, ``.t`` and ``.j``.

Units:   seconds.
Source:  the wire facts in the interoperability tests, taken from a running Celery.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

from workerd.backends.base import BackendOptions
from workerd.backends.chords import Count, Part
from workerd.protocol.result import group_key

FIRST_CLAIM = 6
"""For so long the claim of a dead process keeps others waiting."""
DONE_FOR = 300
"""For so long a part that comes late is known to be one."""

# KEYS: j t s d c and the saved group.
# ARGV: member, part, ordered, score, lifetime, claim, seconds of the claim.
# Returns what ``Count`` says.
_COUNT = """
local parts, more, size, seen, claim, shape = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local held = redis.call('GET', claim)
if held == 'done' then return -1 end
local ordered = ARGV[3] == '1'
if redis.call('SADD', seen, ARGV[1]) == 1 then
    if ordered then redis.call('ZADD', parts, ARGV[4], ARGV[2]) else redis.call('RPUSH', parts, ARGV[2]) end
end
local lifetime = tonumber(ARGV[5])
if lifetime > 0 then
    for _, key in ipairs({parts, more, size, seen, shape}) do redis.call('EXPIRE', key, lifetime) end
end
local wanted = redis.call('GET', size)
if not wanted then return 0 end
local there = redis.call(ordered and 'ZCARD' or 'LLEN', parts)
if there ~= tonumber(wanted) + tonumber(redis.call('GET', more) or 0) then return 0 end
if redis.call('SET', claim, ARGV[6], 'NX', 'EX', ARGV[7]) then return 1 end
return 2
"""

# KEYS: c s.  ARGV: claim, seconds.  1 when the claim is ours for so long.
_HOLD = """
local held = redis.call('GET', KEYS[1])
if held == ARGV[1] then return redis.call('EXPIRE', KEYS[1], ARGV[2]) end
if not held and redis.call('EXISTS', KEYS[2]) == 1 then
    redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
    return 1
end
return 0
"""

# KEYS: c.  ARGV: claim.
_RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 0
"""

# KEYS: c j t s d.  ARGV: claim, seconds of the mark.
_CLOSE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[2], KEYS[3], KEYS[4], KEYS[5])
redis.call('SET', KEYS[1], 'done', 'EX', ARGV[2])
return 1
"""


class RedisChords:
    """The counts at one Redis."""

    def __init__(
        self, client: Any, options: BackendOptions, reaching: Callable[[], AbstractContextManager[None]]
    ) -> None:
        self._client, self._options, self._reaching = client, options, reaching
        self._scripts = {text: client.register_script(text) for text in (_COUNT, _HOLD, _RELEASE, _CLOSE)}

    def expect(self, group_id: str, size: int) -> None:
        with self._reaching(), self._client.pipeline(transaction=True) as batch:
            batch.delete(self._key(group_id, "c"))  # a header that is sent once more is a new one
            batch.set(self._key(group_id, "s"), size, ex=self._lifetime or None)
            batch.execute()

    def expect_more(self, group_id: str) -> None:
        with self._reaching():
            self._client.incr(self._key(group_id, "t"))

    def count(self, part: Part, claim: str) -> Count:
        score = "+inf" if part.index is None else part.index
        member = f"{part.task_id}:{score}"
        text = self._options.coding.dumped([1, part.task_id, part.state, part.result])
        ordered = "1" if self._options.chord_ordered else "0"
        keys = [*self._keys(part.group_id, "jtsdc"), group_key(part.group_id, self._options.prefix())]
        args = [member, text, ordered, score, self._lifetime, claim, FIRST_CLAIM]
        return Count(self._run(_COUNT, keys, args))

    def parts(self, group_id: str) -> list[tuple[str, str, Any]]:
        key = self._key(group_id, "j")
        with self._reaching():
            reading = self._client.zrange if self._options.chord_ordered else self._client.lrange
            found = reading(key, 0, -1)
        return list(self._decoded(found))

    def hold(self, group_id: str, claim: str, seconds: float) -> bool:
        return bool(self._run(_HOLD, self._keys(group_id, "cs"), [claim, max(int(seconds), 1)]))

    def release(self, group_id: str, claim: str) -> None:
        self._run(_RELEASE, self._keys(group_id, "c"), [claim])

    def close(self, group_id: str, claim: str) -> None:
        self._run(_CLOSE, self._keys(group_id, "cjtsd"), [claim, DONE_FOR])

    def failed(self, group_id: str) -> None:
        with self._reaching():
            self._client.delete(self._key(group_id, "s"))

    @property
    def _lifetime(self) -> int:
        seconds = self._options.chord_expires
        return int(self._options.expires or 0) if seconds is None else int(seconds)

    def _decoded(self, found: list[bytes]) -> Iterator[tuple[str, str, Any]]:
        for data in found:
            _, task_id, state, result = self._options.coding.loaded(data)
            yield task_id, state, result

    def _run(self, text: str, keys: list[str], args: list[Any]) -> int:
        with self._reaching():
            return int(self._scripts[text](keys=keys, args=args))

    def _keys(self, group_id: str, suffixes: str) -> list[str]:
        return [self._key(group_id, suffix) for suffix in suffixes]

    def _key(self, group_id: str, suffix: str) -> str:
        return f"{group_key(group_id, self._options.prefix())}.{suffix}"
