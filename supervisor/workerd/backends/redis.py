"""Results in Redis, in the format of Celery's Redis backend.

A result is a key with a time to live; storing it also publishes it on a channel of the same name, so
that who waits is woken.  ``wait_for`` looks once, whatever time it has; then it subscribes first and reads
again, which leaves no window, and does all of it anew after a lost connection.

Units:   seconds.
Errors:  UnavailableError when the server cannot be reached, also at the deadline of ``wait_for``; else that
         ends with TimeoutError.
Source:  the wire facts in the interoperability tests, taken from a running Celery.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import cached_property
from typing import Any

import redis.exceptions

from workerd.backends.base import BackendOptions, Meta, not_in_time, pending
from workerd.backends.outage import Outage
from workerd.backends.redis_chords import RedisChords
from workerd.backends.redis_client import open_client
from workerd.backends.redis_crowd import Crowd
from workerd.backends.redis_patience import Patience
from workerd.backends.url import unreachable
from workerd.protocol import exceptions
from workerd.protocol.result import group_key, task_key
from workerd.protocol.states import READY_STATES, SUCCESS

LOST = (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError, OSError)

_WHAT = "result backend"

# A subscription that died without a sign is found by reading the key again this often.
SILENCE = 30.0
CONFIRMATION = 5.0
# What the first look has at least: without a round trip nobody can tell what is there.
ONE_LOOK = 1.0


class RedisBackend:
    """Results behind one Redis URL."""

    enabled = shared = True

    def __init__(self, url: str, options: BackendOptions) -> None:
        self.url = url
        self.options = options
        self._patience = Patience()
        self._client = open_client(url, options, self._patience)

    def encode(self, meta: Mapping[str, Any]) -> bytes:
        """The bytes that ``store`` keeps."""
        return self.options.coding.encode(meta)

    def key(self, task_id: str) -> str:
        """The key, and the channel, of one result."""
        return task_key(task_id, self.options.prefix())

    def store(self, task_id: str, state: str, data: bytes) -> None:
        """Keep an encoded meta and publish it; a stored SUCCESS stays."""
        key, lifetime = self.key(task_id), self.options.lifetime(state)
        with self._reaching():
            if state != SUCCESS and self.get_meta(task_id)["status"] == SUCCESS:
                return
            with self._client.pipeline(transaction=True) as batch:
                batch.set(key, data, ex=lifetime)
                batch.publish(key, data)
                batch.execute()

    def get_meta(self, task_id: str) -> Meta:
        """What is known of a task; PENDING when nothing is."""
        with self._reaching():
            data = self._client.get(self.key(task_id))
        return pending(task_id) if data is None else self.options.coding.decode(data)

    def forget(self, task_id: str) -> None:
        """Remove a result."""
        with self._reaching():
            self._client.delete(self.key(task_id))

    @cached_property
    def chords(self) -> RedisChords:
        """The counts of chords."""
        return RedisChords(self._client, self.options, self._reaching)

    def decode(self, data: bytes) -> dict[str, Any]:
        """What ``encode`` has written."""
        return self.options.coding.decode(data)

    def save_group(self, group_id: str, data: bytes) -> None:
        """Keep which results a group has, as long as results."""
        with self._reaching():
            self._client.set(self._group_key(group_id), data, ex=self.options.lifetime(SUCCESS))

    def load_group(self, group_id: str) -> bytes | None:
        """What was saved of a group."""
        with self._reaching():
            found: bytes | None = self._client.get(self._group_key(group_id))
        return found

    def forget_group(self, group_id: str) -> None:
        """Remove what was saved of a group."""
        with self._reaching():
            self._client.delete(self._group_key(group_id))

    def _group_key(self, group_id: str) -> str:
        return group_key(group_id, self.options.prefix())

    def close(self) -> None:
        """Close every connection of the pool."""
        self._client.close()
        self._client.connection_pool.disconnect()

    def wait_for(self, task_id: str, timeout: float | None = None) -> Meta:
        """The meta of a task that has ended, as soon as it has."""
        deadline = None if timeout is None else time.monotonic() + timeout
        outage = Outage()
        while True:
            try:
                meta = self._look(task_id, deadline) or self._watch(task_id, deadline, outage)
            except LOST as exc:
                if not outage.wait(deadline):
                    raise unreachable(_WHAT, self.url, exc)  # noqa: B904 (it carries its cause)
                meta = None
            if meta is not None:
                return meta
            if deadline is not None and time.monotonic() >= deadline:
                raise exceptions.TimeoutError(f"task {task_id} has not ended within {timeout:g} s")

    def wait_for_many(
        self, task_ids: Iterable[str], timeout: float | None = None
    ) -> Iterator[tuple[str, Meta]]:
        """Each task's id and meta as soon as it has ended, over one subscription for all."""
        deadline = None if timeout is None else time.monotonic() + timeout
        crowd = Crowd(self._client, self._patience, {self.key(task_id): task_id for task_id in task_ids})
        outage = Outage()
        while crowd.waiting:
            try:
                for task_id, data in crowd.gather(deadline):
                    outage.over()
                    if (meta := self._ended(data)) is not None and crowd.has_ended(task_id):
                        yield task_id, meta
            except LOST as exc:
                if not outage.wait(deadline):
                    raise unreachable(_WHAT, self.url, exc)  # noqa: B904 (it carries its cause)
            if crowd.waiting and deadline is not None and time.monotonic() >= deadline:
                raise not_in_time(crowd.waiting.values(), timeout)

    def _look(self, task_id: str, deadline: float | None) -> Meta | None:
        """The meta of a task that has ended already."""
        with self._patience.until(None if deadline is None else max(deadline, time.monotonic() + ONE_LOOK)):
            return self._ended(self._client.get(self.key(task_id)))

    def _watch(self, task_id: str, deadline: float | None, outage: Outage) -> Meta | None:
        """The meta of a task as soon as it has ended; None at the deadline."""
        key = self.key(task_id)
        with self._patience.until(deadline), closing(self._client.pubsub()) as channel:
            try:
                channel.subscribe(key)
                _confirm(channel, deadline)
            except redis.exceptions.TimeoutError:
                if _left(deadline):
                    raise
                return None  # a look was answered just now: it is the time that is short, not the server
            for data in self._news(key, channel, deadline):
                outage.over()
                if (meta := self._ended(data)) is not None:
                    return meta
        return None

    def _ended(self, data: bytes | None) -> Meta | None:
        meta = self.options.coding.decode(data) if data is not None else {}
        return meta if meta.get("status") in READY_STATES else None

    def _news(self, key: str, channel: Any, deadline: float | None) -> Iterator[bytes | None]:
        """What is stored, then what is published, and what is stored again after a silence."""
        yield self._client.get(key)
        while True:
            data = _published(channel, deadline)
            if data is None and deadline is not None and time.monotonic() >= deadline:
                return
            yield self._client.get(key) if data is None else data

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        try:
            yield
        except LOST as exc:
            raise unreachable(_WHAT, self.url, exc)  # noqa: B904 (it carries its cause)


def _confirm(channel: Any, deadline: float | None) -> None:
    """Wait until the server has the subscription, so that what is read next leaves no window."""
    if channel.get_message(timeout=min(CONFIRMATION, _left(deadline))) is None:
        raise redis.exceptions.TimeoutError("the subscription was not confirmed")


def _published(channel: Any, deadline: float | None) -> bytes | None:
    """The next published meta; None when nothing came for a while, or when some may have been missed."""
    message = channel.get_message(timeout=_left(deadline))
    # redis-py subscribes anew by itself after a lost connection, and tells it as another confirmation.
    return bytes(message["data"]) if message is not None and message["type"] == "message" else None


def _left(deadline: float | None) -> float:
    return SILENCE if deadline is None else max(min(deadline - time.monotonic(), SILENCE), 0.0)
