"""How many messages wait in RabbitMQ's delay queues; which they are, it does not tell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any

from amqp.exceptions import NotFound

from workerd.source.amqp.topology import DELAY_QUEUES
from workerd.source.dead_queues import TIMEOUT
from workerd.source.delayed import Waiting

if TYPE_CHECKING:
    from kombu.connection import Connection


class AmqpDelayedMessages:
    """Over a connection of its own, opened at once; py-amqp's errors go up."""

    listed = False

    def __init__(self, connection: Connection) -> None:
        ours: Any = connection  # kombu's own types are incomplete
        ours.ensure_connection(max_retries=1, interval_start=0, reraise_as_library_errors=False)
        ours.connection.sock.settimeout(TIMEOUT)
        self._connection = ours

    def counts(self) -> Mapping[str, int]:
        return {queue: count for queue in DELAY_QUEUES if (count := self._count(queue))}

    def scan(self) -> Iterator[Waiting]:
        return iter(())

    def nodes(self) -> list[str]:
        return []

    def flush(self) -> int:
        return 0  # each comes back by itself

    def close(self) -> None:
        self._connection.release()

    def _count(self, queue: str) -> int:
        with closing(self._connection.channel()) as channel:
            try:
                return int(channel.queue_declare(queue, passive=True).message_count)
            except NotFound:
                return 0
