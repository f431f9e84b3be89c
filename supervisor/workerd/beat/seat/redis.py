"""The seat on Redis: a key with a time to live, whose value says whose it is.

Each publish is one script that looks at that key first, pushes the message and writes the record: a beat
that was away for longer than its lease, and does not know, changes nothing.

    workerd:beat:CLUSTER:lease    who, until it expires
    workerd:beat:CLUSTER:ticks    a hash, entry to record
    workerd:beat:CLUSTER:paused   a set of entries

Units:   seconds; milliseconds in the scripts.
"""

from __future__ import annotations

import logging
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec
import redis
from kombu.common import maybe_declare

from workerd.app.sending.connection import BrokerConnection
from workerd.app.sending.outlet.base import Posting
from workerd.app.sending.publish import publish_by_kombu
from workerd.app.sending.seats import BrokerProducer
from workerd.beat.record import Record, State, read_record, write
from workerd.beat.seat.opening import connect
from workerd.protocol.outgoing import new_id
from workerd.protocol.parcel import envelope_of

if TYPE_CHECKING:
    from workerd.app import App

logger = logging.getLogger(__name__)

HOLD = """
local held = redis.call('GET', KEYS[1])
if held == false then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
  return {2, ARGV[2]}
end
if held == ARGV[1] then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  return {1, ARGV[2]}
end
return {0, redis.call('PTTL', KEYS[1])}
"""

PUT = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if KEYS[3] then redis.call('LPUSH', KEYS[3], ARGV[4]) end
redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
return 1
"""

RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"

SHORTEST, LONGEST = 0.1, 2.0
"""Between two tries for a seat that is taken: a leader that leaves in good order gives it up early."""


class RedisSeat:
    """See ``Seat``."""

    def __init__(self, app: App, cluster: str, node: str, lease: float) -> None:
        self.fresh = False
        self._app, self._lease, self._base = app, round(lease * 1000), f"workerd:beat:{cluster}"
        self._token = f"{node} {uuid.uuid4().hex}"
        self._left = 0.0
        self._connection: BrokerConnection | None = None
        self._client: Any = None

    def hold(self) -> bool:
        how, left = self._script(HOLD, ["lease"], self._token, self._lease)
        self.fresh = self.fresh or how == 2
        self._left = int(left) / 1000.0
        return bool(how)

    def patience(self) -> float:
        return min(max(self._left, SHORTEST), LONGEST)

    def fileno(self) -> int | None:
        return None

    def read(self) -> State:
        client = self._open()
        with client.pipeline(transaction=False) as pipe:
            pipe.hgetall(self._key("ticks"))
            pipe.get(self._key("lease"))
            rows, holder = pipe.execute()
        self.fresh = False
        leader = (holder or b"").decode("utf-8", "replace").partition(" ")[0]
        return State(_records(rows), sorted(self.paused()), leader)

    def put(self, name: str, record: Record, posting: Posting | None) -> bool:
        row = (self._token, name, write(record))
        if posting is None:
            return bool(self._script(PUT, ["lease", "ticks"], *row))
        channel = self._channel()
        if posting.declare is not None:
            maybe_declare(posting.declare, channel)  # type: ignore[no-untyped-call]
        if posting.parcel.exchange:
            # Kombu looks up the queues behind an exchange: here the look comes before, and not within.
            if not self._script("return redis.call('GET', KEYS[1]) == ARGV[1] and 1 or 0", ["lease"], row[0]):
                return False
            publish_by_kombu(posting, BrokerProducer(channel), [])  # type: ignore[no-untyped-call]
            return bool(self._script(PUT, ["lease", "ticks"], *row))
        priority = min(posting.parcel.priority, channel.max_priority)
        queue = channel.global_keyprefix + channel._q_for_pri(posting.parcel.routing_key, priority)
        envelope = envelope_of(posting.parcel, new_id())
        keys = [self._key("lease"), self._key("ticks"), queue]
        return bool(self._open().eval(PUT, len(keys), *keys, *row, envelope))

    def paused(self) -> set[str]:
        return {name.decode() for name in self._open().smembers(self._key("paused"))}

    def pause(self, name: str, paused: bool) -> None:
        client = self._open()
        (client.sadd if paused else client.srem)(self._key("paused"), name)

    def release(self) -> None:
        if self._client is not None:
            self._script(RELEASE, ["lease"], self._token)

    def close(self) -> None:
        connection, self._connection, self._client = self._connection, None, None
        if connection is not None:
            with suppress(Exception):  # what is wrong with it is why it is closed
                connection.release()  # type: ignore[no-untyped-call]

    def _script(self, text: str, keys: list[str], *args: Any) -> Any:
        return self._open().eval(text, len(keys), *map(self._key, keys), *args)

    def _key(self, what: str) -> str:
        return f"{self._channel().global_keyprefix}{self._base}:{what}"

    def _channel(self) -> Any:
        if self._connection is None:
            self._connection = self._app.broker.connection(purpose="broker_write_url")
            connect(self._connection)
        return self._connection.default_channel

    def _open(self) -> Any:
        if self._client is None:
            # Its own client would put the prefix before what is no key.
            self._client = redis.Redis(connection_pool=self._channel().pool)
        return self._client


def _records(rows: dict[bytes, bytes]) -> dict[str, Record]:
    found = {}
    for name, row in rows.items():
        try:
            found[name.decode()] = read_record(row)
        except (msgspec.DecodeError, UnicodeDecodeError) as exc:
            logger.warning("What Redis remembers of periodic task %r cannot be read: %s", name, exc)
    return found
