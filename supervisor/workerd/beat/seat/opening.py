"""The seat that fits the app's broker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workerd.app.sending.broker import AMQP_SCHEMES
from workerd.app.sending.connection import BrokerConnection
from workerd.beat.seat.base import Seat

if TYPE_CHECKING:
    from workerd.app import App


def connect(connection: BrokerConnection) -> None:
    """Once, and once more at the next URL if there is one: the beat itself waits, for it hears signals."""
    connection.ensure_connection(  # type: ignore[no-untyped-call]
        max_retries=1, interval_start=0, interval_step=0
    )


def open_seat(app: App, cluster: str, node: str, lease: float) -> Seat:
    """Nothing is connected yet."""
    scheme = app.broker.urls("broker_write_url")[0].partition("://")[0]
    # Whose messages go to one kind of broker does not pay for the client of the other.
    if scheme in AMQP_SCHEMES:
        from workerd.beat.seat.amqp import AmqpSeat  # noqa: PLC0415

        return AmqpSeat(app, cluster, node, lease)
    from workerd.beat.seat.redis import RedisSeat  # noqa: PLC0415

    return RedisSeat(app, cluster, node, lease)
