"""One node of a cluster as a source sees it: a hub, a scope, and a consumer that keeps what it is given."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

from kombu import Connection

from tests.support.eventually import eventually
from workerd.protocol.dead import Letter
from workerd.source import Delivery, Owner, TaskSource, open_source
from workerd.worker.loop.hub import Hub
from workerd.worker.loop.scope import Scope

T = TypeVar("T")
GROUP = "default"


def numbered(count: int, prefix: str = "t") -> list[str]:
    return [f"{prefix}{n:03}" for n in range(count)]


def letter(reason: str = "test", **fields: Any) -> Letter:
    """What goes with a message that is put aside."""
    return Letter(**{"reason": reason, "queue": "q", "time": 1.5, "id": "l1", "node": "n@h"} | fields)


class Node:
    """Turns its hub only inside ``until`` and ``turn``; ``close`` checks that nothing is left in it."""

    def __init__(self, url: str, owner: str = "host:1", **options: Any) -> None:
        self.hub = Hub()
        self.errors: list[BaseException] = []
        self.scope = Scope(self.hub, self.errors.append)
        self.connection = Connection(
            url, heartbeat=10, transport_options=options.pop("transport_options", {})
        )
        names = ("predecessors", "lease", "deaths")
        ours = Owner(owner, **{name: options.pop(name) for name in names if name in options})
        self.source: TaskSource = open_source(self.connection, self.scope, owner=ours, **options)
        self.got: list[Delivery] = []
        self.lost: list[str] = []
        self.known: set[Any] = set()
        self.gone: list[Any] = []
        self.refused: list[Delivery] = []

    def start(self, *queues: str, **groups: Sequence[str]) -> Node:
        """Consume ``queues`` as one group, and ``groups`` beside it."""
        if self.connection.transport.driver_type == "amqp":
            self.connection.connect()
        wanted = {GROUP: queues or ("q",), **groups}
        self.source.start(wanted, self._deliver, self.lost.append, self.known, self.gone.extend)
        return self

    def _deliver(self, deliveries: list[Delivery]) -> None:
        assert deliveries, "an empty hand-over"
        self.got += deliveries

    @property
    def ids(self) -> list[str]:
        return [d.message.id if d.message is not None else "?" for d in self.got]

    def turn(self) -> None:
        """One turn of the hub, which sleeps for 10 ms at most."""
        timer = self.hub.call_later(0.01, lambda: None)
        self.hub.turn()
        timer.cancel()

    def until(self, fact: Callable[[], T], within: float = 20.0) -> T:
        def turned() -> T:
            self.turn()
            return fact()

        return eventually(turned, within=within, every=0.0)

    def fetch(self, room: int, group: str = GROUP) -> list[Delivery]:
        """Ask for ``room`` messages and return them once they are all here."""
        before = len(self.got)
        self.source.fetch(group, room)
        self.until(lambda: len(self.got) == before + room)
        return self.got[before:]

    def rest(self) -> None:
        """Turn until everything that was sent has been answered."""
        self.until(lambda: not self.source.pending)

    def confirmed(self, act: Callable[..., None], *args: Any) -> None:
        """Call ``act(*args, then)`` and wait for ``then``."""
        done: list[bool] = []
        act(*args, lambda: done.append(True))
        self.until(lambda: done)

    def park(self, *deliveries: Delivery) -> None:
        """Park them, and wait until the broker has confirmed all."""
        done: list[Delivery] = []
        for delivery in deliveries:
            self.source.park(delivery, partial(done.append, delivery), partial(self.refused.append, delivery))
        self.until(lambda: len(done) == len(deliveries))

    def close(self) -> None:
        self.source.close()
        self.source.close()
        self.connection.collect()
        assert not self.errors
        assert not self.hub.readers
        assert not self.hub.writers
        self.scope.close()
        self.hub.dispose()


def envelope(task_id: str, queue: str = "q", priority: int = 0, eta: float | None = None) -> bytes:
    """A task message as a Celery client leaves it in Redis, as far as sources look at it."""
    headers = {"lang": "py", "task": "proj.add", "id": task_id, "big": 2**60, "empty": []}
    if eta is not None:
        headers["eta"] = datetime.fromtimestamp(eta, UTC).isoformat()
    message = {
        "body": "W1tdLCB7fSwge31d",
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": headers,
        "properties": {
            "correlation_id": task_id,
            "delivery_info": {"exchange": "", "routing_key": queue},
            "priority": priority,
            "body_encoding": "base64",
            "delivery_tag": str(uuid.uuid4()),
        },
    }
    return json.dumps(message).encode()


def ids_of(raws: Sequence[bytes]) -> list[str]:
    """Task ids of Redis entries; the first to be served first."""
    return [json.loads(raw)["headers"]["id"] for raw in reversed(raws)]
