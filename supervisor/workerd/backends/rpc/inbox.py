"""Where one process waits for the results of its calls: a queue of its own on the broker.

The queue ends ``expires`` after the last look, so that a caller that dies leaves it for so long at most.  It
outlives a lost connection, and with it what has come meanwhile.

Units:   seconds.
Errors:  LostError for a connection that is lost, or cannot be made.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Protocol

from amqp.exceptions import AMQPError
from kombu import entity, messaging

from workerd.protocol.reply import Reply, read_reply
from workerd.source.redis.keys import Keys
from workerd.transport.address import address_of_connection
from workerd.transport.kinds import kind_of

# kombu has no types.
_Queue: Any = entity.Queue
_Exchange: Any = entity.Exchange
_Consumer: Any = messaging.Consumer

LONGEST_LOOK = 10.0
"""A server is asked anew so often, so that one that has gone without a word is noticed."""
CONNECT, PROTOCOL = 5.0, 2
PREFETCH = 500

Connect = Callable[[], Any]


class LostError(Exception):
    """No broker behind this inbox; its cause says why."""


class Inbox(Protocol):
    """Used by one thread at a time; after LostError it is opened again by its next use."""

    def open(self) -> None:
        """Be there for results."""

    def take(self, timeout: float) -> Reply | None:
        """The next result; None when none has come in time."""

    def close(self) -> None:
        """Leave, and take the queue along."""

    def hang_up(self) -> None:
        """Drop the connection, without a word."""


def open_inbox(connect: Connect, name: str, expires: int | None) -> Inbox:
    """An inbox of that name over the broker of ``connect``'s connections; not connected yet."""
    connection = connect()
    if kind_of(connection) == "redis":
        return RedisInbox(connect, name)
    return AmqpInbox(connect, name, expires)


class RedisInbox:
    """A list; the server tells of what is put into it."""

    def __init__(self, connect: Connect, name: str) -> None:
        self._connect, self._name = connect, name
        self._key, self._link = "", None  # type: str, Any

    def open(self) -> None:
        if self._link is not None:
            return
        connection = self._connect()
        self._key = Keys.of_options(connection.transport_options or {}).list_for(self._name, 0)
        self._link = address_of_connection(connection).connection(CONNECT, PROTOCOL)
        self._ask("PING")  # the first one tells whether it is there

    def take(self, timeout: float) -> Reply | None:
        self.open()
        if timeout <= 0:
            raw = self._ask("RPOP", self._key)
        else:
            # Before 6.0 Redis knows whole seconds only.
            look = max(round(min(timeout, LONGEST_LOOK)), 1) if timeout >= 1 else timeout
            answer = self._ask("BRPOP", self._key, look, patience=look)
            raw = answer[1] if answer else None
        return None if raw is None else read_reply(self._name, raw)

    def close(self) -> None:
        if self._link is not None:
            with suppress(LostError):
                self._ask("DEL", self._key)
        self.hang_up()

    def hang_up(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            link.disconnect()

    def _ask(self, *words: Any, patience: float = 0.0) -> Any:
        import redis.exceptions  # noqa: PLC0415 (who waits over AMQP does not pay for it)

        try:
            self._link.send_command(*words)
            return self._link.read_response(timeout=CONNECT + patience)
        except (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError, OSError) as exc:
            self.hang_up()
            raise LostError(str(exc)) from exc
        except BaseException:
            self.hang_up()  # an answer may still be on its way
            raise


class AmqpInbox:
    """A durable queue.  What is taken is acknowledged, so a lost connection loses nothing."""

    def __init__(self, connect: Connect, name: str, expires: int | None) -> None:
        self._connect, self._name, self._expires = connect, name, expires
        self._connection: Any = None
        self._channel: Any = None
        self._consumer: Any = None
        self._heard: deque[Any] = deque()

    def open(self) -> None:
        if self._connection is not None:
            return
        with self._guarded():
            connection = self._connection = self._connect()
            # Nobody would send heartbeats while the process does something else.
            connection.heartbeat = 0
            connection.ensure_connection(max_retries=0, reraise_as_library_errors=False)
            self._channel = connection.channel()
            self._channel.basic_qos(0, PREFETCH, False)
            self._queue().declare()

    def take(self, timeout: float) -> Reply | None:
        self.open()
        with self._guarded():
            if timeout <= 0 and self._consumer is None:
                return self._reply(self._queue().get(no_ack=False))
            if self._consumer is None:
                self._consumer = _Consumer(
                    self._channel, [self._queue()], no_ack=False, on_message=self._heard.append
                )
                self._consumer.consume()
            if not self._heard:
                with suppress(socket.timeout):
                    self._connection.drain_events(timeout=max(min(timeout, LONGEST_LOOK), 0.001))
            return self._reply(self._heard.popleft()) if self._heard else None

    def close(self) -> None:
        if self._connection is not None:
            with suppress(LostError), self._guarded():
                if self._consumer is not None:
                    self._consumer.cancel()
                self._channel.queue_delete(self._name)
                self._connection.release()
        self.hang_up()

    def hang_up(self) -> None:
        connection, self._connection = self._connection, None
        self._channel = self._consumer = None
        self._heard.clear()  # they are in the queue again
        if connection is not None:
            opened = connection.connection if connection.connected else None
            if opened is not None:
                opened.collect()  # kombu's own would wait for the last word of a broker that is gone
            connection.collect()

    def _queue(self) -> Any:
        return _Queue(
            self._name,
            exchange=_Exchange(""),
            routing_key=self._name,
            channel=self._channel,
            durable=True,
            expires=self._expires,
        )

    def _reply(self, message: Any) -> Reply | None:
        if message is None:
            return None
        body = message.body
        reply = Reply(
            queue=self._name,
            task_id=str(message.properties.get("correlation_id") or ""),
            body=body.encode() if isinstance(body, str) else bytes(body),
            content_type=message.content_type or "application/json",
            content_encoding=message.content_encoding or "utf-8",
        )
        message.ack()
        return reply

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except (OSError, AMQPError) as exc:
            self.hang_up()
            raise LostError(str(exc)) from exc
