"""Seats: the open connections of one process to its broker, each for one thread at a time.

Kombu's own pools take two locks and make three objects for each message.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any

from kombu.messaging import Producer

from workerd.app.sending.connection import BrokerConnection
from workerd.app.sending.outlet.base import Outlet
from workerd.app.sending.outlet.opening import open_outlet
from workerd.transport.kinds import kind_of


class BrokerProducer(Producer):
    """kombu's producer, which also has the name that older guides have for ``publish``."""

    def send(self, body: Any, **options: Any) -> Any:
        """As ``publish``."""
        return self.publish(body, **options)  # type: ignore[no-untyped-call]


class Seat:
    """A connection, kombu's producer on it, and the outlet on it once there is one."""

    def __init__(self, connection: BrokerConnection) -> None:
        self.connection = connection
        self.producer: Any = BrokerProducer(connection)  # type: ignore[no-untyped-call]
        self._outlet: Outlet | None = None

    @property
    def outlet(self) -> Outlet | None:
        """The outlet, unless kombu has another connection now than the one it was made on."""
        if self._outlet is not None and not self._outlet.fresh:
            self._outlet = None
        return self._outlet

    def published(self) -> None:
        """Kombu has published over the connection: what follows may take the outlet."""
        if self.outlet is None:
            # The message has arrived, whatever becomes of the connection now.
            with suppress(*self.connection.connection_errors, *self.connection.channel_errors):
                self._outlet = open_outlet(self.connection)

    def hang_up(self) -> None:
        """Drop the connection as it is; the next use opens it again, at its next URL if it has several."""
        if self._outlet is not None:
            self._outlet.close()
            self._outlet = None
        self.connection.collect()  # type: ignore[no-untyped-call]
        self.producer.revive(self.connection)

    def close(self, patience: float | None = None) -> None:
        """Take leave of the broker; over a socket of AMQP each word of it is waited for so many seconds."""
        if self._outlet is not None:
            self._outlet.close()
        if patience is not None and self.connection.connected and kind_of(self.connection) == "amqp":
            self.connection.connection.transport.sock.settimeout(patience)
        self.connection.release()  # type: ignore[no-untyped-call]


class Seats:
    """At most ``limit`` seats; who comes when all are taken waits.  Without a limit each is used once."""

    def __init__(self, connect: Callable[[], BrokerConnection], limit: int | None) -> None:
        self._connect, self.limited = connect, bool(limit)
        self._free: list[Seat | None] = [None] * (limit or 0)  # None: one that is not opened yet
        # One word for each that is free: there is no stack on which a thread can wait that is as quick.
        self._words: SimpleQueue[None] = SimpleQueue()
        for _ in self._free:
            self._words.put(None)

    def taken(self) -> Taken:
        """A seat for as long as a ``with`` block runs.  After an error nothing is known of its connection."""
        return Taken(self)

    def take(self) -> Seat:
        """A seat, the one that was given back last if it can be."""
        if not self.limited:
            return Seat(self._connect())
        self._words.get()
        if (seat := self._free.pop()) is not None:
            return seat
        try:
            return Seat(self._connect())
        except BaseException:
            self._put(None)
            raise

    def give_back(self, seat: Seat) -> None:
        """Another may have it; where each is used once it is closed."""
        if self.limited:
            self._put(seat)
        else:
            seat.close()

    def close(self, patience: float | None = None) -> None:
        """Close the seats that are free; those that are taken end with their process."""
        free = []
        with suppress(Empty):
            while True:
                self._words.get_nowait()
                free.append(self._free.pop())
        for seat in free:
            if seat is not None:
                seat.close(patience)
            self._put(seat)

    def _put(self, seat: Seat | None) -> None:
        self._free.append(seat)
        self._words.put(None)


class Taken:
    """The ``with`` block of one who has a seat."""

    __slots__ = ("_seat", "_seats")

    def __init__(self, seats: Seats) -> None:
        self._seats = seats

    def __enter__(self) -> Seat:
        self._seat = self._seats.take()
        return self._seat

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            if kind is not None:
                self._seat.hang_up()
        finally:
            self._seats.give_back(self._seat)
