"""``listen.py URL``: take every event of a cluster and count those of tasks.

It goes on after TERM until a second has passed without an event, and prints the count and the seconds of CPU
time that the listening has cost.  It decodes after that: what a monitor makes of an event is its own affair,
and to decode them takes kombu longer than all that is measured here.
"""

from __future__ import annotations

import signal
import sys
import time
from typing import Any

from kombu import Connection, Consumer, Exchange, Queue


class Monitor:
    """Listens as monitors do: to everything, by a queue of its own."""

    def __init__(self) -> None:
        self.heard: list[Any] = []
        self.spent = 0.0
        self._ending = False

    def take(self, message: Any) -> None:
        if message.delivery_info["routing_key"].startswith("task"):
            self.heard.append(message)

    def count(self) -> int:
        """Events of tasks that were heard."""
        found = [message.decode() for message in self.heard]
        return sum(len(each) if isinstance(each, list) else 1 for each in found)

    def listen(self, connection: Connection) -> None:
        # The exchange is Celery's.
        kind = "fanout" if connection.transport.driver_type == "redis" else "topic"
        queue = Queue("celeryev.bench", Exchange("celeryev", kind), "#", auto_delete=True, durable=False)
        channel = connection.default_channel
        with Consumer(channel, [queue], on_message=self.take, no_ack=True, accept=["json"]):
            print("listening", flush=True)
            began = time.process_time()
            quiet = False
            while not (quiet and self._ending):
                quiet = False
                try:
                    connection.drain_events(timeout=1.0)
                except TimeoutError:
                    quiet = True
            self.spent = time.process_time() - began

    def end(self, signum: int, frame: Any) -> None:
        self._ending = True


def main() -> None:
    """Listen and count."""
    monitor = Monitor()
    signal.signal(signal.SIGTERM, monitor.end)
    with Connection(sys.argv[1]) as connection:
        monitor.listen(connection)
    print(monitor.count(), monitor.spent, flush=True)


if __name__ == "__main__":
    main()
