"""Connection: one broker connection for each generation.

Errors: the broker's own connection errors; the consumer turns them into a state of its link.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workerd.bootsteps import StartStopStep

if TYPE_CHECKING:
    from workerd.worker.consumer.consumer import Consumer


class Connection(StartStopStep):
    """Opens ``c.connection`` (a kombu ``Connection``); the only blocking connect of the loop."""

    label = "Connection"

    def __init__(self, c: Consumer, **options: Any) -> None:
        c.connection = None

    def start(self, c: Consumer) -> None:
        connection: Any = c.app.connection_for_read(c.next_url())  # kombu has no types
        c.connection = connection
        try:
            with c.controller.inbox.interruptible():
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
        if connection is not None:
            connection.release()

    def shutdown(self, c: Consumer) -> None:
        self.stop(c)

    def info(self, c: Consumer) -> dict[str, Any]:
        return {"broker": c.connection.as_uri()} if c.connection is not None else {}
