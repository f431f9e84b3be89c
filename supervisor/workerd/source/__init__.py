"""Doors to a broker's task queues: ``open_source`` picks the one for a broker connection."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, tzinfo
from typing import TYPE_CHECKING

from workerd.clock import Clock, SystemClock
from workerd.errors import ConfigError
from workerd.source.base import Delivery, TaskSource
from workerd.source.owner import Owner
from workerd.transport.kinds import kind_of
from workerd.transport.loop import Loop

if TYPE_CHECKING:
    from kombu.connection import Connection

__all__ = ["Delivery", "Owner", "TaskSource", "open_source"]


def open_source(
    connection: Connection,
    scope: Loop,
    *,
    owner: Owner,
    clock: Clock | None = None,
    zone: tzinfo = UTC,
    strict: Collection[str] = (),
) -> TaskSource:
    """The source for the broker of ``connection``; nothing is connected before ``start``.

    ``zone`` is that of times in messages that have no offset; ``strict`` are the groups whose queues are
    served in their order, and not in turn (Redis only).
    """
    clock = clock or SystemClock()
    kind = kind_of(connection)
    # One broker's library need not be imported for the other's sake.
    if kind == "redis":
        from workerd.source.redis import VISIBILITY, RedisSource  # noqa: PLC0415
        from workerd.source.redis.keys import Keys  # noqa: PLC0415
        from workerd.transport.address import address_of_connection  # noqa: PLC0415

        options = connection.transport_options or {}
        return RedisSource(
            address_of_connection(connection),
            Keys.of_options(options),
            scope,
            owner=owner,
            clock=clock,
            zone=zone,
            strict=strict,
            visibility=float(options.get("visibility_timeout", VISIBILITY)),
        )
    if kind == "amqp":
        from workerd.source.amqp import AmqpSource  # noqa: PLC0415

        return AmqpSource(connection, scope, zone, clock)
    raise ConfigError(f"task queues over {kind!r} are not supported", "use a redis:// or amqp:// broker")
