"""Wait for many results of a Redis server at once, told by it and never asking again and again.

All is over one subscription, which is taken in chunks: a server that is given ten thousand channels in one
command answers nobody meanwhile.  Each chunk is subscribed to, then read, which leaves no window.

Units:   seconds; deadlines are those of the monotonic clock.
Errors:  redis-py's, for a lost connection and a server that does not answer; ``gather`` begins anew then.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

import redis.exceptions

from workerd.backends.redis_patience import Patience

CHUNK = 500
"""Results that are asked for in one command."""

SILENCE = 30.0
"""A subscription that died without a sign is found by reading the keys again this often."""

CONFIRMATION = 5.0

Found = Iterator[tuple[str, bytes]]


class Crowd:
    """The results that one caller waits for: task ids by their keys."""

    def __init__(self, client: Any, patience: Patience, waiting: dict[str, str]) -> None:
        self._client, self._patience, self.waiting = client, patience, waiting
        self._keys = {task_id: key for key, task_id in waiting.items()}

    def has_ended(self, task_id: str) -> bool:
        """It is waited for no longer; False when it is not already."""
        return self.waiting.pop(self._keys[task_id], None) is not None

    def gather(self, deadline: float | None) -> Found:
        """What is stored and then what is published of those that are waited for, until the deadline."""
        yield from self._stored(tuple(self.waiting), deadline)
        if not self.waiting:
            return
        with closing(self._client.pubsub()) as channel:
            for keys in _chunks(tuple(self.waiting)):
                yield from self._subscribed(channel, keys, deadline)
                yield from self._stored(keys, deadline)
            while self.waiting and (left := _left(deadline)) > 0:
                if (message := self._next(channel, left, deadline)) is not None:
                    yield from self._told(message)
                elif _left(deadline) > 0:
                    yield from self._stored(tuple(self.waiting), deadline)

    def _stored(self, keys: Sequence[str], deadline: float | None) -> Found:
        for chunk in _chunks(keys):
            # A deadline that is over leaves a look its round trip.
            with self._patience.until(None if deadline is None else max(deadline, time.monotonic() + 1.0)):
                found = self._client.mget(chunk)
            for key, data in zip(chunk, found, strict=True):
                if data is not None and key in self.waiting:
                    yield self.waiting[key], data

    def _subscribed(self, channel: Any, keys: Sequence[str], deadline: float | None) -> Found:
        """Subscribe; what is published on earlier channels comes between the confirmations."""
        with self._patience.until(deadline):
            channel.subscribe(*keys)
        confirmed = 0
        while confirmed < len(keys):
            if (message := self._next(channel, CONFIRMATION, deadline)) is None:
                if _left(deadline) > 0:
                    raise redis.exceptions.TimeoutError("the subscription was not confirmed")
                return
            if message["type"] == "subscribe":
                confirmed += 1
            else:
                yield from self._told(message)

    def _next(self, channel: Any, timeout: float, deadline: float | None) -> dict[str, Any] | None:
        with self._patience.until(deadline):
            message: dict[str, Any] | None = channel.get_message(timeout=min(timeout, _left(deadline)))
        return message

    def _told(self, message: dict[str, Any]) -> Found:
        if message["type"] != "message":
            # redis-py subscribes anew by itself after a lost connection; what came meanwhile is not told.
            raise redis.exceptions.ConnectionError("the subscription was lost")
        if (task_id := self.waiting.get(message["channel"].decode())) is not None:
            yield task_id, bytes(message["data"])


def _chunks(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(keys), CHUNK):
        yield keys[start : start + CHUNK]


def _left(deadline: float | None) -> float:
    return SILENCE if deadline is None else max(min(deadline - time.monotonic(), SILENCE), 0.0)
