"""The consuming half of an AMQP channel: how much the broker may send, and what it has sent.

The prefetch limit is what we hold plus the room there is.  It is sent before the acknowledgements that
would make way for more, and it cannot be 0, which would mean "no limit": then the consumers are cancelled.

Where the broker knows a limit for the whole channel, that is it.  It does so for classic queues before
RabbitMQ 4; else each consumer has the limit for itself, so that several queues together may send more than
there is room for.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from amqp import spec

MOST = 65535  # the limit is a short on the wire


class Intake:
    """Consumers of one channel; what comes is given to ``on_message(queue, message)``."""

    def __init__(
        self,
        channel: Any,
        *,
        shared_limit: bool,
        declare: Callable[[str], bool],
        on_message: Callable[[str, Any], object],
        on_cancelled: Callable[[str], object],
    ) -> None:
        self._channel, self._shared, self._declare = channel, shared_limit, declare
        self._on_message, self._on_cancelled = on_message, on_cancelled
        self._tags: dict[str, str | None] = {}  # queue: consumer tag, None while it is not consumed
        self._consumed = 0
        self.limit = 0

    @property
    def queues(self) -> list[str]:
        return list(self._tags)

    def add(self, queue: str) -> None:
        """Declare ``queue`` (waits for the broker), and consume it if others are consumed."""
        if queue not in self._tags:
            self._begin(queue)

    def remove(self, queue: str) -> None:
        self._cancel(queue)
        self._tags.pop(queue, None)

    def revive(self, queue: str) -> None:
        """The broker has cancelled our consumer, as when the queue was deleted: declare and consume again."""
        if queue in self._tags and self._tags[queue] is None:
            self._begin(queue)

    def _begin(self, queue: str) -> None:
        classic = self._declare(queue)
        if self._shared and not classic:
            self._limit_each()
        self._tags[queue] = None
        if self.limit:
            self._consume(queue)

    def _limit_each(self) -> None:
        """No limit for the channel any more: the next queue could not be consumed under one."""
        limit = self.limit
        self.allow(0)
        if limit:
            self._channel.send_method(spec.Basic.Qos, "lBb", (0, 0, True))
        self._shared = False
        self.allow(limit)

    def allow(self, limit: int) -> None:
        """Let the broker keep ``limit`` messages with us unsettled; does not wait for its answer."""
        limit = min(limit, MOST)
        if limit == self.limit:
            return
        before, self.limit = self.limit, limit
        if not limit or (before and not self._shared):
            # A limit for each consumer is fixed when the consumer begins.
            for queue in self._tags:
                self._cancel(queue)
        if limit:
            self._channel.send_method(spec.Basic.Qos, "lBb", (0, limit, self._shared))
            for queue, tag in self._tags.items():
                if tag is None:
                    self._consume(queue)

    def _consume(self, queue: str) -> None:
        # A fresh tag each time: the answer to a cancel may come after the next consume.
        self._consumed += 1
        tag = self._tags[queue] = f"workerd.{self._consumed}.{queue}"[:255]
        self._channel.basic_consume(
            queue,
            consumer_tag=tag,
            nowait=True,
            callback=partial(self._on_message, queue),
            on_cancel=partial(self._cancelled, queue),
        )

    def _cancel(self, queue: str) -> None:
        tag = self._tags.get(queue)
        if tag is not None:
            self._tags[queue] = None
            # Not basic_cancel, which waits; the callback stays until the broker has answered.
            self._channel.send_method(spec.Basic.Cancel, "sb", (tag, False))

    def _cancelled(self, queue: str, tag: str) -> None:
        if self._tags.get(queue) == tag:
            self._tags[queue] = None
            self._on_cancelled(queue)
