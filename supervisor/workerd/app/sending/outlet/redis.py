"""The outlet to Redis: LPUSH to the list that kombu would choose, many messages in one round trip."""

from __future__ import annotations

import select
from itertools import groupby
from operator import itemgetter
from typing import Any

import hiredis
import redis
from kombu.transport.redis import Channel, Transport

from workerd.app.sending.connection import BrokerConnection
from workerd.app.sending.outlet.base import LinkLostError, Posting, Waiting, is_declared
from workerd.protocol.outgoing import new_id
from workerd.protocol.parcel import Parcel, envelope_of
from workerd.protocol.redis_stencil import filled_envelope
from workerd.protocol.stencil import Filled

BATCH, BATCH_BYTES = 1000, 1024 * 1024
"""Messages of one round trip, and their size from which on no more are added."""

_LOST = (redis.ConnectionError, redis.TimeoutError, OSError)

Entry = tuple[str, bytes, Posting]
"""A list's name, what is pushed to it, and what that was made of."""


def redis_outlet(connection: BrokerConnection) -> RedisOutlet | None:
    """An outlet over ``connection``; None where kombu would write something else than it does."""
    channel: Any = connection.default_channel
    if type(connection.transport) is not Transport or type(channel) is not Channel:
        return None
    if channel.global_keyprefix or channel.body_encoding != "base64":
        return None
    return RedisOutlet(connection, channel)


class RedisOutlet:
    """See ``Outlet``.  A message to a named exchange, whose queues kombu looks up, is not carried."""

    def __init__(self, connection: BrokerConnection, channel: Any) -> None:
        self._connection, self._channel = connection, channel
        self._pool = channel.pool
        self._link = self._pool.get_connection()
        self._declared: Any = None  # the queue of the last message, which need not be asked for again
        self._poll = select.poll()
        self._poll.register(self._link._sock, select.POLLIN)

    @property
    def fresh(self) -> bool:
        return self._connection._default_channel is self._channel

    def send(self, waiting: Waiting) -> None:
        self._check()
        while entries := self._entries(waiting):
            refused = self._push(entries, waiting)
            if refused:
                waiting.put_back(refused)
                return

    def close(self) -> None:
        self._link.disconnect()
        self._pool.release(self._link)

    def _check(self) -> None:
        """Notice that the server has hung up before anything is written that it would not read."""
        if self._poll.poll(0):
            raise LinkLostError("the server has closed the connection", doubtful=False)

    def _entries(self, waiting: Waiting) -> list[Entry]:
        entries: list[Entry] = []
        size = 0
        while len(entries) < BATCH and size < BATCH_BYTES and (posting := waiting.first()) is not None:
            if (entry := self._entry(posting)) is None:
                break
            waiting.take()
            entries.append(entry)
            size += len(entry[1])
        return entries

    def _entry(self, posting: Posting) -> Entry | None:
        letter, queue = posting.letter, posting.declare
        address = letter if isinstance(letter, Parcel) else letter.stencil
        if address.exchange:
            return None
        if queue is not None and queue is not self._declared:
            if not is_declared(queue, self._connection):
                return None
            self._declared = queue
        try:
            envelope = _written(letter, new_id())
        except Exception:  # noqa: BLE001 (kombu meets it too, and its error is the one that callers know)
            return None
        priority = min(address.priority, self._channel.max_priority)
        return self._channel._q_for_pri(address.routing_key, priority), envelope, posting

    def _push(self, entries: list[Entry], waiting: Waiting) -> list[Posting]:
        """Push all; return those that the server refused."""
        runs = [(name, list(run)) for name, run in groupby(entries, key=itemgetter(0))]
        commands = [hiredis.pack_command(("LPUSH", name, *(entry[1] for entry in run))) for name, run in runs]
        refused: list[Posting] = []
        answered = 0
        try:
            self._link.send_packed_command([b"".join(commands)], check_health=False)
            for _, run in runs:
                try:
                    self._link.read_response()
                except redis.ResponseError:
                    refused += [posting for _, _, posting in run]
                answered += len(run)
        except _LOST as exc:
            waiting.put_back([*refused, *(posting for _, _, posting in entries[answered:])])
            raise LinkLostError(exc, doubtful=True) from exc
        return refused


def _written(letter: Parcel | Filled, tag: str) -> bytes:
    if isinstance(letter, Parcel):
        return envelope_of(letter, tag)
    try:
        return filled_envelope(letter, tag)
    except UnicodeEncodeError:  # half of a surrogate pair, which only the long way writes
        return envelope_of(letter.stencil.parcel(letter.filling), tag)
