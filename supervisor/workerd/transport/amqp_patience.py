"""How long a connection of py-amqp waits for a broker that reads nothing.

py-amqp has the kernel give a connection up when what was written lies unread for a second.  A busy RabbitMQ
leaves a publisher waiting for longer, and what it has not confirmed by then would be sent twice.
"""

from __future__ import annotations

import socket
from typing import Any

SILENCE = 30_000
"""Milliseconds that the broker may leave unread what we have sent."""


def be_patient(connection: Any) -> None:
    """Let ``connection``, an open one of py-amqp, wait for so long."""
    connection.transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENCE)
