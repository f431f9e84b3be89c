"""Seats: the open connections of one process to its broker, each for one thread at a time.

Kombu's own pools take two locks and make three objects for each message.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from queue import Empty, LifoQueue
from typing import Any

from kombu.messaging import Producer

from workerd.app.sending.connection import BrokerConnection
from workerd.app.sending.outlet.base import Outlet
from workerd.app.sending.outlet.opening import open_outlet


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

    def close(self) -> None:
        """Take leave of the broker."""
        if self._outlet is not None:
            self._outlet.close()
        self.connection.release()  # type: ignore[no-untyped-call]


class Seats:
    """At most ``limit`` seats; who comes when all are taken waits.  Without a limit each is used once."""

    def __init__(self, connect: Callable[[], BrokerConnection], limit: int | None) -> None:
        self._connect, self._limit = connect, limit
        self._free: LifoQueue[Seat | None] = LifoQueue()  # None: one that is not opened yet
        for _ in range(limit or 0):
            self._free.put(None)

    @contextmanager
    def taken(self) -> Iterator[Seat]:
        """A seat for as long as the block runs.  After an error nothing is known of its connection."""
        seat = self._free.get() if self._limit else None
        try:
            if seat is None:
                seat = Seat(self._connect())
            yield seat
        except BaseException:
            if seat is not None:
                seat.hang_up()
            raise
        finally:
            self._give_back(seat)

    def close(self) -> None:
        """Close the seats that are free; those that are taken end with their process."""
        free = []
        with suppress(Empty):
            while True:
                free.append(self._free.get_nowait())
        for seat in free:
            if seat is not None:
                seat.close()
            self._free.put(None)

    def _give_back(self, seat: Seat | None) -> None:
        if self._limit:
            self._free.put(seat)
        elif seat is not None:
            seat.close()
