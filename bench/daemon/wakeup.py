"""How long an idle node needs to notice a message on Redis: from before the send until it is handed over.

    python -m bench.daemon.wakeup redis://127.0.0.1:6379/9

The database must be one in which nobody works: the queue ``bench-wakeup`` is used and left empty.  Target:
half of the messages within 2 ms.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import redis
from kombu import Connection

from workerd.app import App
from workerd.source import Delivery, Owner, open_source
from workerd.worker.loop.hub import Hub
from workerd.worker.loop.scope import Scope

QUEUE = "bench-wakeup"
MESSAGES = 500


def turn_until(hub: Hub, fact: Callable[[], object]) -> None:
    while not fact():
        timer = hub.call_later(0.01, lambda: None)
        hub.turn()
        timer.cancel()


def measure(url: str) -> list[float]:
    """Seconds for each message."""
    hub, got, seconds = Hub(), list[Delivery](), list[float]()
    scope = Scope(hub, lambda exc: sys.exit(f"the link is lost: {exc}"))
    with Connection(url) as connection, redis.Redis.from_url(url) as client, App("bench", broker=url) as app:
        app.send_task("bench", queue=QUEUE)
        message = client.rpop(QUEUE)
        source = open_source(connection, scope, owner=Owner("bench:1"))
        source.start({"all": (QUEUE,)}, got.extend, sys.exit, (), lambda gone: None)
        for _ in range(MESSAGES):
            source.fetch("all", 1)
            idle_at = time.perf_counter() + 0.005
            turn_until(hub, lambda idle_at=idle_at: time.perf_counter() > idle_at)  # type: ignore[misc]
            began = time.perf_counter()
            client.lpush(QUEUE, message)
            turn_until(hub, lambda: got)
            seconds.append(time.perf_counter() - began)
            source.settle([got.pop()])
            turn_until(hub, lambda: not source.pending)
        source.close()
    scope.close()
    hub.dispose()
    return sorted(seconds)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("write: python -m bench.daemon.wakeup redis://HOST:PORT/DATABASE")
    times = measure(sys.argv[1])
    shares = (0.5, 0.95, 0.99)
    print(
        ", ".join(
            f"p{share:.0%}".rstrip("%") + f" {times[int(len(times) * share)] * 1e3:.2f} ms"
            for share in shares
        )
    )
