"""From what py-amqp received to a ``Delivery``, whatever came; and back to what can be sent again."""

from __future__ import annotations

from datetime import tzinfo
from typing import Any

import msgspec
from amqp.basic_message import Message as Content

from workerd.protocol.message import AmqpPayload, MalformedError, message_from_amqp
from workerd.source.amqp.header_frames import unread
from workerd.source.amqp.topology import has_waited, without_traces
from workerd.source.base import Delivery


def delivery_of(channel: str, queue: str, message: Any, came: float, zone: tzinfo) -> Delivery:
    """What ``channel`` delivered from ``queue``; times without an offset are in ``zone``.

    One that has waited for its ETA looks as if it had been sent to its queue just now.
    """
    info, headers = message.delivery_info, message.headers or {}
    exchange, key = info["exchange"], info["routing_key"]
    if has_waited(exchange, key):
        exchange, key, headers = "", queue, without_traces(headers)
    body = message.body or b""  # py-amqp has an empty text for no body
    delivery = Delivery((channel, message.delivery_tag), queue, None, body, came=came)
    delivery.redelivered = bool(info["redelivered"])
    if problem := unread(message.headers or {}):
        delivery.problem = problem
        return delivery
    try:
        delivery.message = message_from_amqp(
            message.properties,
            headers,
            body,
            exchange=exchange,
            routing_key=key,
            redelivered=delivery.redelivered,
            zone=zone,
        )
    except MalformedError as exc:
        delivery.problem = str(exc)
    return delivery


def content_of(payload: bytes) -> Content:
    """The message that ``payload`` was made of, to be published again.  Errors: msgspec.MsgspecError."""
    parts = _decode_parts(payload)
    return Content(parts.body, application_headers=parts.headers, **parts.properties)


_decode_parts = msgspec.msgpack.Decoder(AmqpPayload).decode
