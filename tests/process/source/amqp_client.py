"""A plain kombu client of RabbitMQ, beside the source that is tested."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from amqp.exceptions import NotFound
from kombu import Connection

from tests.process.source.node import Node


class Client:
    """A plain kombu client with a queue name of its own."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.queue = f"q.{uuid.uuid4().hex[:8]}"
        self.connection = Connection(url)
        self.channel: Any = self.connection.channel()

    def send(self, *ids: str, queue: str | None = None, **options: Any) -> None:
        producer = self.connection.Producer(self.channel)
        for task_id in ids:
            options.setdefault("headers", {"task": "proj.add"})
            headers = {**options["headers"], "id": task_id}
            producer.publish(
                "[[], {}, {}]",
                routing_key=queue or self.queue,
                content_type="application/json",
                content_encoding="utf-8",
                **{**options, "headers": headers},
            )

    def waiting(self, queue: str | None = None) -> int:
        return int(self.channel.queue_declare(queue or self.queue, passive=True).message_count)

    def exists(self) -> bool:
        try:
            self.waiting()
        except NotFound:
            return False
        return True

    def take(self, queue: str) -> Any:
        return self.channel.basic_get(queue, no_ack=True)


@pytest.fixture
def client(rabbit_url: str) -> Iterator[Client]:
    client = Client(rabbit_url)
    yield client
    client.connection.collect()


def quiet(node: Node, url: str) -> None:
    """Turn until the broker has done what was written before, and everything it sent is here."""
    other = Connection(url)
    channel = other.channel()
    for _ in range(3):
        node.turn()
        channel.basic_qos(0, 1, False)
    other.release()
    node.turn()
