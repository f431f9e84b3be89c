"""Replies over Redis: an entry in the caller's list, which ends when results do.

A result without a place to go is confirmed at once: so Celery has it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from workerd.backends.base import BackendOptions
from workerd.backends.redis_writer import RedisResultWriter
from workerd.backends.refused import Result
from workerd.protocol.reply import Reply, reply_envelope
from workerd.protocol.serial import content_type_of
from workerd.source.redis.keys import Keys
from workerd.transport.address import RedisAddress
from workerd.transport.loop import Loop
from workerd.transport.redis import Command, RedisLink

if TYPE_CHECKING:
    from workerd.backends.writer import Then


class RedisReplyWriter(RedisResultWriter):
    """A ``ResultWriter`` to lists of the broker; ``keys`` names them."""

    def __init__(
        self, address: Callable[[], RedisAddress], keys: Keys, loop: Loop, options: BackendOptions
    ) -> None:
        super().__init__(address, loop, options)
        self._keys = keys
        self._form = content_type_of(options.coding.serializer)

    def store(
        self, task_id: str, state: str, meta: bytes, then: Then | None, reply_to: str | None = None
    ) -> None:
        if reply_to:
            super().store(task_id, state, meta, then, reply_to)
        elif then is not None:
            then()

    def _begin(self, link: RedisLink, result: Result) -> None:
        # A message takes nothing's place: there is nothing to look at first.
        self._write(link, result)

    def _commands(self, result: Result) -> tuple[Command, list[Command]]:
        queue = result.reply_to or ""
        key = self._keys.list_for(queue, 0)
        mode = self._options.delivery_mode
        reply = Reply(queue, result.task_id, result.meta, *self._form, mode)
        keep: list[Command] = [("LPUSH", key, reply_envelope(reply))]
        # A caller that is gone fetches nothing any more.
        if (lifetime := self._options.lifetime(result.state)) is not None:
            keep.append(("EXPIRE", key, lifetime))
        return ("LPUSHX", f"{key}.none", ""), keep
