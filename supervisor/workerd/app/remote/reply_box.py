"""Where answers to one question are waited for: a queue of its own, which is gone afterwards.

Units:  seconds.
"""

from __future__ import annotations

import socket
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypedDict

from kombu import entity, messaging

if TYPE_CHECKING:
    from workerd.app.settings.conf import Conf

Answers = list[dict[str, Any]]

# kombu has no types.
_Queue: Any = entity.Queue
_Exchange: Any = entity.Exchange
_Consumer: Any = messaging.Consumer


class Whom(TypedDict, total=False):
    """Which nodes are asked, and whether their answers are waited for.

    ``destination`` names nodes, ``pattern`` with ``matcher`` ("glob" or "pcre") those whose names match;
    else all are asked.  With ``reply`` answers are waited for until ``timeout``, or there are ``limit``.
    """

    destination: Sequence[str] | None
    pattern: str | None
    matcher: str | None
    reply: bool
    timeout: float
    limit: int | None


class ReplyBox:
    """Over the connection of ``producer``; ``exchange`` is the one for answers."""

    def __init__(self, producer: Any, exchange: str, conf: Conf) -> None:
        self._producer, self._accept = producer, list(conf.accept_content)
        self._ticket, key = str(uuid.uuid4()), str(uuid.uuid4())
        self._queue = _Queue(
            f"{key}.{exchange}",
            exchange=_Exchange(exchange, type="direct", durable=False),
            routing_key=key,
            durable=False,
            exclusive=True,
            auto_delete=True,
            expires=conf.control_queue_expires,
            message_ttl=conf.control_queue_ttl,
        )
        self._answers: Answers = []
        self.address = {"ticket": self._ticket, "reply_to": {"exchange": exchange, "routing_key": key}}
        """What a question must say, to be answered here."""

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Answers are kept from here on, and the queue is deleted at the end."""
        channel = self._producer.connection.channel()
        consumer = _Consumer(channel, [self._queue], no_ack=True, accept=self._accept)
        consumer.register_callback(self._take)
        try:
            consumer.consume()
            yield
        finally:
            with suppress(*self._producer.connection.connection_errors):
                consumer.cancel()
                channel.queue_delete(self._queue.name)
                channel.close()

    def collect(self, timeout: float, limit: int | None) -> Answers:
        """The answers that come within ``timeout``, or until there are ``limit``."""
        until = time.monotonic() + timeout
        while (left := until - time.monotonic()) > 0 and (not limit or len(self._answers) < limit):
            with suppress(socket.timeout):
                self._producer.connection.drain_events(timeout=left)
        return self._answers

    def _take(self, body: Any, message: Any) -> None:
        if message.headers.get("ticket") == self._ticket and isinstance(body, dict):
            self._answers.append(body)
