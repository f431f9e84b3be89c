"""The outlet to RabbitMQ: whole publishes in few writes, and one wait for all their confirms.

It has a channel of its own on kombu's connection, so that the numbers of its publishes are its own.  What the
broker says beside confirms is left to py-amqp, which stays the reader of the connection.
"""

from __future__ import annotations

import select
from collections import OrderedDict
from contextlib import suppress
from itertools import takewhile
from typing import Any

from amqp.exceptions import AMQPError
from kombu.entity import Queue
from kombu.transport.pyamqp import SSLTransport, Transport

from workerd.app.sending.connection import BrokerConnection
from workerd.app.sending.outlet.base import LinkLostError, Posting, Waiting, is_declared
from workerd.protocol.amqp_confirms import Confirm, is_whole, split_confirms
from workerd.protocol.amqp_content import publish_frames
from workerd.protocol.amqp_stencil import filled_frames
from workerd.protocol.parcel import Parcel
from workerd.transport.amqp_patience import be_patient

WRITE_BYTES = 64 * 1024
"""Frames are gathered until they are so long, then written."""
UNCONFIRMED = 4096
"""Publishes without a word from the broker, after which no more are written."""

_READ_BYTES = 64 * 1024
_LOST = (AMQPError, OSError)


def amqp_outlet(connection: BrokerConnection) -> AmqpOutlet | None:
    """An outlet over ``connection``; None where it is no connection of py-amqp."""
    if type(connection.transport) not in (Transport, SSLTransport):
        return None
    return AmqpOutlet(connection)


class AmqpOutlet:
    """See ``Outlet``.  Without ``confirm_publish`` what is written counts as arrived, as Celery has it."""

    def __init__(self, connection: BrokerConnection) -> None:
        self._kombu = connection
        self._connection: Any = connection.connection
        # Who sets the socket himself has said how long it waits.
        self._patient = "socket_settings" in (connection.transport_options or {})
        self._channel: Any = self._connection.channel()
        self._confirms = bool(self._connection.confirm_publish)
        if self._confirms:
            self._channel.confirm_select()
            # Those that py-amqp has read itself, while it waited for something else.
            self._channel.events["basic_ack"].add(lambda n, many: self._answered(Confirm(n, many, False)))
            self._channel.events["basic_nack"].add(lambda n, many: self._answered(Confirm(n, many, True)))
        self._published = 0
        self._declared: Any = None  # what the last message needed, which need not be asked for again
        self._unconfirmed: OrderedDict[int, Posting] = OrderedDict()  # by number, the oldest first
        self._refused: list[Posting] = []
        self._poll = select.poll()
        self._poll.register(self._connection.transport.sock, select.POLLIN)

    @property
    def fresh(self) -> bool:
        return self._kombu._connection is self._connection

    def send(self, waiting: Waiting) -> None:
        wrote = False
        try:
            self._hear()
            while not self._refused and (frames := self._gathered(waiting)):
                if wrote and not self._patient:
                    # Of much at once.  Who sends little still hears of a host that is gone within a second.
                    be_patient(self._connection)
                    self._patient = True
                wrote = True
                self._connection.transport.write(b"".join(frames))
                if not self._confirms:
                    self._unconfirmed.clear()
                self._settle(UNCONFIRMED)
            self._settle(0)
        except _LOST as exc:
            waiting.put_back([*self._refused, *self._unconfirmed.values()])
            raise LinkLostError(exc, doubtful=wrote) from exc
        waiting.put_back(self._refused)
        self._refused = []

    def close(self) -> None:
        """Nothing: the channel ends with its connection."""

    def _gathered(self, waiting: Waiting) -> list[bytes]:
        frames: list[bytes] = []
        size = 0
        while size < WRITE_BYTES and (posting := waiting.first()) is not None:
            if not (written := self._frames(posting)):
                break
            waiting.take()
            self._published += 1
            self._unconfirmed[self._published] = posting
            frames += written
            size += posting.size + 800
        return frames

    def _frames(self, posting: Posting) -> list[bytes]:
        """Its frames; none when only kombu may send it."""
        letter, declare = posting.letter, posting.declare
        if declare is not None and declare is not self._declared:
            if not is_declared(declare, self._kombu):
                return []
            self._declared = declare
        exchange = declare.exchange if isinstance(declare, Queue) else declare
        named = (letter if isinstance(letter, Parcel) else letter.stencil).exchange
        if named and (exchange is None or exchange.name != named):
            return []  # nobody has declared that exchange, and one that is missing would end the channel
        try:
            channel, most = self._channel.channel_id, self._connection.frame_max
            if isinstance(letter, Parcel):
                return publish_frames(letter, channel, most)
            return filled_frames(letter, channel, most)
        except Exception:  # noqa: BLE001 (kombu meets it too, and its error is the one that callers know)
            return []

    # -- what the broker says -------------------------------------------------------------------

    def _hear(self) -> None:
        """Let py-amqp take in what has come since: that the connection is closed, for one thing."""
        with suppress(TimeoutError):
            while self._poll.poll(0):
                self._connection.drain_events(timeout=0)

    def _settle(self, allowed: int) -> None:
        """Wait until at most ``allowed`` publishes are unconfirmed."""
        while len(self._unconfirmed) > allowed:
            self._read()

    def _read(self) -> None:
        transport = self._connection.transport
        received = transport.sock.recv(_READ_BYTES)
        if not received:
            raise OSError("the broker has closed the connection")
        transport._read_buffer += received
        self._take_confirms()
        while is_whole(transport._read_buffer):
            # One frame only: what drain_events reads beside it, it keeps from us.
            self._connection.blocking_read()
            self._take_confirms()

    def _take_confirms(self) -> None:
        transport = self._connection.transport
        found, transport._read_buffer = split_confirms(transport._read_buffer, self._channel.channel_id)
        for confirm in found:
            self._answered(confirm)

    def _answered(self, confirm: Confirm) -> None:
        number, multiple, refused = confirm
        numbers = takewhile(number.__ge__, list(self._unconfirmed)) if multiple else (number,)
        answered = [self._unconfirmed.pop(one) for one in numbers if one in self._unconfirmed]
        if refused:
            self._refused += answered
