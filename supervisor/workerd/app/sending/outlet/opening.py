"""Open the outlet that fits a connection."""

from __future__ import annotations

from workerd.app.sending.connection import BrokerConnection
from workerd.app.sending.outlet.base import Outlet
from workerd.transport.kinds import kind_of


def open_outlet(connection: BrokerConnection) -> Outlet | None:
    """An outlet over ``connection``, which is open; None for a broker that has none."""
    # Whose messages go to one kind of broker does not pay for the client of the other.
    match kind_of(connection):
        case "redis":
            from workerd.app.sending.outlet.redis import redis_outlet  # noqa: PLC0415

            return redis_outlet(connection)
        case "amqp":
            from workerd.app.sending.outlet.amqp import amqp_outlet  # noqa: PLC0415

            return amqp_outlet(connection)
    return None
