"""Consumers on one channel, at most one a queue; nothing here waits for the broker."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from amqp import spec

from workerd.source.amqp.channel import OnMessage, TaskChannel


class Consumers:
    """What comes goes to ``on_message``; ``on_cancelled`` hears of queues whose consumer the broker ended."""

    def __init__(
        self, channel: TaskChannel, on_message: OnMessage, on_cancelled: Callable[[str], object]
    ) -> None:
        self._channel, self._on_message, self._on_cancelled = channel, on_message, on_cancelled
        self._tags: dict[str, str] = {}
        self._begun = 0

    def move(self, channel: TaskChannel) -> None:
        """Those that begin from now on are on ``channel``."""
        self._channel = channel

    def tag(self, queue: str) -> str | None:
        """That of the consumer of ``queue``; None while there is none."""
        return self._tags.get(queue)

    def limit(self, limit: int, *, shared: bool) -> None:
        """How many messages may be unsettled: on the whole channel, or of each consumer that begins later."""
        self._channel.limit(limit, shared=shared)

    def begin(self, queue: str) -> str:
        # A fresh tag each time: the answer to a cancel may come after the next consume.
        self._begun += 1
        tag = self._tags[queue] = f"workerd.{self._begun}.{queue}"[:255]
        self._channel.basic_consume(
            queue,
            consumer_tag=tag,
            nowait=True,
            callback=partial(self._on_message, queue),
            on_cancel=partial(self._cancelled, queue),
        )
        return tag

    def end(self, queue: str) -> None:
        """Nothing happens where there is none."""
        if (tag := self._tags.pop(queue, None)) is not None:
            # Not basic_cancel, which waits; the callback stays until the broker has answered.
            self._channel.send_method(spec.Basic.Cancel, "sb", (tag, False))

    def _cancelled(self, queue: str, tag: str) -> None:
        if self._tags.get(queue) == tag:
            del self._tags[queue]
            self._on_cancelled(queue)
