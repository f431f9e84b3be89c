"""Connection: one broker connection for each generation.

Errors: UnavailableError, in words, for a broker that cannot be reached or that refuses; the consumer turns it
        into a state of its link.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workerd.backends.url import resolve, shown
from workerd.bootsteps import StartStopStep
from workerd.broadcast import open_broadcast
from workerd.transport.amqp_refusals import reaching
from workerd.transport.kinds import kind_of
from workerd.worker.consumer.guarded import guarded

if TYPE_CHECKING:
    from workerd.worker.consumer.consumer import Consumer

HEARTBEAT = 9.0
"""Seconds; a silent broker is noticed within three of them."""


class Connection(StartStopStep):
    """Opens ``c.connection`` (a kombu ``Connection``), the only blocking connect of the loop, and the door to
    other nodes over it (``c.broadcast``)."""

    label = "Connection"

    def __init__(self, c: Consumer, **options: Any) -> None:
        c.connection = c.broadcast = None

    def start(self, c: Consumer) -> None:
        url = c.brokers.url
        if c.connection is not None:
            return
        connection: Any = c.app.connection_for_read(url)  # kombu has no types
        # Off if the app says so; else often enough to notice a broker that has gone without a word.
        connection.adapt = guarded
        connection.heartbeat = connection.heartbeat and min(connection.heartbeat, HEARTBEAT)
        c.connection = connection
        try:
            with c.controller.inbox.interruptible(), reaching(shown(url)):
                # On Redis the task source has a link of its own, and kombu connects for those who ask.
                if kind_of(connection) != "redis":
                    # Not connect(): that sleeps in between two attempts of its own.  The next attempt, at
                    # the next URL if there are several, is ours.
                    connection.ensure_connection(max_retries=0, reraise_as_library_errors=False)
            c.broadcast = open_broadcast(connection, c.hub)
        except BaseException:
            self.stop(c)
            raise

    def stop(self, c: Consumer) -> None:
        """A generation's connection is never used again, so a restart closes it too."""
        connection, c.connection = c.connection, None
        broadcast, c.broadcast = c.broadcast, None
        if broadcast is not None:
            with c.farewell():
                broadcast.close(lost=c.lost)
        if connection is None:
            return
        opened: Any = connection.connection if connection.connected else None
        if not c.lost:
            with c.farewell():
                connection.release()
        if hasattr(opened, "collect"):
            opened.collect()  # first: kombu's own would wait for the last word of a broker that is gone
        connection.collect()

    def shutdown(self, c: Consumer) -> None:
        self.stop(c)

    def info(self, c: Consumer) -> dict[str, Any]:
        return {"broker": shown(resolve(c.brokers.url))} if c.connection is not None else {}
