"""``listen.py URL``: take every event of a cluster and count those of tasks; after TERM, print the count.

It goes on after TERM until a second has passed without an event.
"""

from __future__ import annotations

import signal
import sys
from typing import Any

from kombu import Connection, Consumer, Exchange, Queue


class Monitor:
    """Listens as monitors do: to everything, by a queue of its own."""

    def __init__(self) -> None:
        self.events = 0
        self._ending = False

    def take(self, message: Any) -> None:
        if message.delivery_info["routing_key"].startswith("task"):
            found = message.decode()
            self.events += len(found) if isinstance(found, list) else 1

    def listen(self, connection: Connection) -> None:
        # The exchange is Celery's.
        kind = "fanout" if connection.transport.driver_type == "redis" else "topic"
        queue = Queue("celeryev.bench", Exchange("celeryev", kind), "#", auto_delete=True, durable=False)
        channel = connection.default_channel
        with Consumer(channel, [queue], on_message=self.take, no_ack=True, accept=["json"]):
            print("listening", flush=True)
            quiet = False
            while not (quiet and self._ending):
                quiet = False
                try:
                    connection.drain_events(timeout=1.0)
                except TimeoutError:
                    quiet = True

    def end(self, signum: int, frame: Any) -> None:
        self._ending = True


def main() -> None:
    """Listen and count."""
    monitor = Monitor()
    signal.signal(signal.SIGTERM, monitor.end)
    with Connection(sys.argv[1]) as connection:
        monitor.listen(connection)
    print(monitor.events, flush=True)


if __name__ == "__main__":
    main()
