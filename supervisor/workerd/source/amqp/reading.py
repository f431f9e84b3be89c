"""From what py-amqp received to a ``Delivery``; never an error, whatever came."""

from __future__ import annotations

from datetime import tzinfo
from typing import Any

from workerd.protocol.message import MalformedError, message_from_amqp
from workerd.source.base import Delivery


def delivery_of(channel: str, queue: str, message: Any, zone: tzinfo) -> Delivery:
    """What ``channel`` delivered from ``queue``; times without an offset are in ``zone``."""
    info = message.delivery_info
    body = message.body or b""  # py-amqp has an empty text for no body
    delivery = Delivery((channel, message.delivery_tag), queue, None, body)
    delivery.redelivered = bool(info["redelivered"])
    try:
        delivery.message = message_from_amqp(
            message.properties,
            message.headers or {},
            body,
            exchange=info["exchange"],
            routing_key=info["routing_key"],
            redelivered=delivery.redelivered,
            zone=zone,
        )
    except MalformedError as exc:
        delivery.problem = str(exc)
    return delivery
