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
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any

import redis.exceptions

from workerd.backends.base import BackendOptions, Meta, pending
from workerd.backends.redis_client import open_client
from workerd.backends.redis_patience import Patience
from workerd.backends.url import unreachable
from workerd.protocol import exceptions
from workerd.protocol.result import task_key
from workerd.protocol.states import READY_STATES, SUCCESS

LOST = (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError, OSError)

_WHAT = "result backend"

# A subscription that died without a sign is found by reading the key again this often.
SILENCE = 30.0
CONFIRMATION = 5.0
# How long a server that never answered is tried, and one that did.
FIRST_PATIENCE, PATIENCE = 1.0, 60.0
# What the first look has at least: without a round trip nobody can tell what is there.
ONE_LOOK = 1.0


class RedisBackend:
    """Results behind one Redis URL."""

    enabled = True

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

    def close(self) -> None:
        """Close every connection of the pool."""
        self._client.close()
        self._client.connection_pool.disconnect()

    def wait_for(self, task_id: str, timeout: float | None = None) -> Meta:
        """The meta of a task that has ended, as soon as it has."""
        deadline = None if timeout is None else time.monotonic() + timeout
        outage = _Outage()
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

    def _look(self, task_id: str, deadline: float | None) -> Meta | None:
        """The meta of a task that has ended already."""
        with self._patience.until(None if deadline is None else max(deadline, time.monotonic() + ONE_LOOK)):
            return self._ended(self._client.get(self.key(task_id)))

    def _watch(self, task_id: str, deadline: float | None, outage: _Outage) -> Meta | None:
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


class _Outage:
    """How long the server has not answered, and whether to try once more."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._pause = 0.0
        self._patience = FIRST_PATIENCE

    def over(self) -> None:
        self._since, self._pause, self._patience = None, 0.0, PATIENCE

    def wait(self, deadline: float | None) -> bool:
        """Sleep before the next try; False when patience, or the time until ``deadline``, is at its end."""
        now = time.monotonic()
        if deadline is not None and now >= deadline:
            return False
        self._since = now if self._since is None else self._since
        if now - self._since >= self._patience:
            return False
        self._pause = min(max(self._pause * 2, 0.05), 1.0)
        time.sleep(self._pause if deadline is None else max(min(self._pause, deadline - now), 0.0))
        return True


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
