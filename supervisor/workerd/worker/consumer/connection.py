"""Connection: one broker connection for each generation.

Errors: UnavailableError, in words, for a broker that cannot be reached or that refuses; the consumer turns it
        into a state of its link.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workerd.backends.url import shown
from workerd.bootsteps import StartStopStep
from workerd.transport.amqp_refusals import reaching
from workerd.worker.life.stop_time import Part

if TYPE_CHECKING:
    from workerd.worker.consumer.consumer import Consumer

HEARTBEAT = 9.0
"""Seconds; a silent broker is noticed within three of them."""


FAREWELL = 2.0
"""Seconds that a broker has to answer the end of a connection."""


class Connection(StartStopStep):
    """Opens ``c.connection`` (a kombu ``Connection``); the only blocking connect of the loop."""

    label = "Connection"

    def __init__(self, c: Consumer, **options: Any) -> None:
        c.connection = None

    def start(self, c: Consumer) -> None:
        url = c.brokers.url
        if c.connection is not None:
            return
        connection: Any = c.app.connection_for_read(url)  # kombu has no types
        # Off if the app says so; else often enough to notice a broker that has gone without a word.
        connection.heartbeat = connection.heartbeat and min(connection.heartbeat, HEARTBEAT)
        c.connection = connection
        try:
            with c.controller.inbox.interruptible(), reaching(shown(url)):
                # On Redis the task source has a link of its own, and kombu connects for those who ask.
                if connection.transport.driver_type != "redis":
                    # Not connect(): that sleeps in between two attempts of its own.  The next attempt, at
                    # the next URL if there are several, is ours.
                    connection.ensure_connection(max_retries=0, reraise_as_library_errors=False)
        except BaseException:
            self.stop(c)
            raise

    def stop(self, c: Consumer) -> None:
        """A generation's connection is never used again, so a restart closes it too."""
        connection, c.connection = c.connection, None
        if connection is None:
            return
        if not c.lost:
            with c.controller.inbox.bounded(c.controller.stop_time.left(FAREWELL, Part.LINK)):
                connection.release()
        connection.collect()  # release() would wait for the last word of a broker that is gone

    def shutdown(self, c: Consumer) -> None:
        self.stop(c)

    def info(self, c: Consumer) -> dict[str, Any]:
        return {"broker": c.connection.as_uri()} if c.connection is not None else {}
