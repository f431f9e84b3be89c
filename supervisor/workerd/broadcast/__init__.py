"""The door to what nodes tell each other over the broker, beside task queues."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workerd.broadcast.base import Broadcast, Exchange, Heard, Notice, Station
from workerd.errors import ConfigError
from workerd.transport.kinds import kind_of
from workerd.transport.loop import Loop

if TYPE_CHECKING:
    from kombu.connection import Connection

__all__ = ["Broadcast", "Exchange", "Heard", "Notice", "Station", "open_broadcast"]


def open_broadcast(connection: Connection, loop: Loop) -> Broadcast:
    """The door over the broker of ``connection``; nothing is connected before it is used."""
    kind = kind_of(connection)
    # One broker's library need not be imported for the other's sake.
    if kind == "redis":
        from workerd.broadcast.redis import RedisBroadcast  # noqa: PLC0415
        from workerd.transport.address import address_of_connection  # noqa: PLC0415

        return RedisBroadcast(address_of_connection(connection), connection.transport_options or {}, loop)
    if kind == "amqp":
        from workerd.broadcast.amqp import AmqpBroadcast  # noqa: PLC0415

        return AmqpBroadcast(connection, loop)
    raise ConfigError(f"remote control and events over {kind!r} are not supported", "use redis:// or amqp://")
