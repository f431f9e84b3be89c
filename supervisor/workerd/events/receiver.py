"""Hear the events of a cluster, from a program beside it; for monitors, not for the daemon's own loop.

Units:   seconds.
Errors:  UnavailableError and ConfigError, as of ``app.broker``.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from kombu import entity, messaging
from kombu.exceptions import ContentDisallowed, DecodeError

from workerd.protocol.event import Event
from workerd.transport.kinds import kind_of

if TYPE_CHECKING:
    from workerd.app import App

logger = logging.getLogger(__name__)

# kombu has no types.
_Queue: Any = entity.Queue
_Exchange: Any = entity.Exchange
_Consumer: Any = messaging.Consumer

LOOK = 1.0
"""Between two looks at whether to go on."""


class Receiver:
    """Events whose routing key ``key`` matches, ``#`` being all, over a connection of its own."""

    def __init__(self, app: App, key: str = "#") -> None:
        self._app, conf = app, app.conf
        self._heard: deque[Event] = deque()
        self._accept = [conf.event_serializer, "json"]
        self._key, self._conf = key, conf

    def events(
        self, until: float | None = None, listening: Callable[[], object] | None = None
    ) -> Iterator[Event]:
        """Each event as it comes, until the monotonic time ``until``; ``listening`` is called once.

        A connection that is lost ends it with an error; what is told meanwhile is not heard."""
        with self._app.broker.reaching(), self._app.connection_for_read() as connection:
            consumer = _Consumer(
                connection.channel(), [self._queue(connection)], no_ack=True, accept=self._accept
            )
            consumer.on_decode_error = _undecodable
            consumer.register_callback(self._take)
            with consumer:
                if listening is not None:
                    listening()
                while until is None or time.monotonic() < until:
                    try:
                        connection.drain_events(timeout=LOOK)
                    except TimeoutError:
                        connection.heartbeat_check()
                    except (DecodeError, ContentDisallowed) as exc:
                        _undecodable(None, exc)
                    while self._heard:
                        yield self._heard.popleft()

    def _queue(self, connection: Any) -> Any:
        conf = self._conf
        kind = "fanout" if kind_of(connection) == "redis" else "topic"
        return _Queue(
            f"{conf.event_queue_prefix}.{uuid.uuid4()}",
            exchange=_Exchange(conf.event_exchange, type=kind),
            routing_key=self._key,
            durable=False,
            exclusive=True,
            auto_delete=True,
            message_ttl=conf.event_queue_ttl,
            expires=conf.event_queue_expires,
        )

    def _take(self, body: Any, _message: Any) -> None:
        events = body if isinstance(body, list) else [body]
        self._heard += [event for event in events if isinstance(event, dict) and "type" in event]


def _undecodable(_message: Any, exc: Exception) -> None:
    logger.warning("An event cannot be read: %s", exc)
