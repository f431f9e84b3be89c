"""Doors to a broker's task queues: ``open_source`` picks the one for a broker connection."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, tzinfo
from typing import TYPE_CHECKING

from workerd.clock import Clock, SystemClock
from workerd.errors import ConfigError
from workerd.source.base import Deaths, Delivery, TaskSource, counted_in_it
from workerd.transport.loop import Loop

if TYPE_CHECKING:
    from kombu.connection import Connection

__all__ = ["Delivery", "TaskSource", "open_source"]


def open_source(
    connection: Connection,
    scope: Loop,
    *,
    owner: str,
    predecessors: Sequence[str] = (),
    lease: float = 30.0,
    clock: Clock | None = None,
    zone: tzinfo = UTC,
    deaths: Deaths = counted_in_it,
) -> TaskSource:
    """The source for the broker of ``connection``; nothing is connected before ``start``.

    ``owner`` names this incarnation of the daemon in the broker, ``predecessors`` its dead ones;
    ``lease``, in seconds, is how long what we hold stays ours without a sign of life (Redis only);
    ``zone`` is that of times in messages that have no offset; ``deaths`` knows what predecessors have
    left untold when their work is given back.
    """
    clock = clock or SystemClock()
    kind = connection.transport.driver_type
    # One broker's library need not be imported for the other's sake.
    if kind == "redis":
        from workerd.source.redis import VISIBILITY, RedisSource  # noqa: PLC0415
        from workerd.source.redis.keys import Keys  # noqa: PLC0415
        from workerd.source.redis.owner import Owner  # noqa: PLC0415
        from workerd.transport.address import address_of_connection  # noqa: PLC0415

        options = connection.transport_options or {}
        return RedisSource(
            address_of_connection(connection),
            Keys.of_options(options),
            scope,
            owner=Owner(owner, predecessors, lease, deaths),
            clock=clock,
            zone=zone,
            visibility=float(options.get("visibility_timeout", VISIBILITY)),
        )
    if kind == "amqp":
        from workerd.source.amqp import AmqpSource  # noqa: PLC0415

        return AmqpSource(connection, scope, zone)
    raise ConfigError(f"task queues over {kind!r} are not supported", "use a redis:// or amqp:// broker")
