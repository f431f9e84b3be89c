"""From what has come to a ``Delivery``, whatever it is; and back to what can be sent again."""

from __future__ import annotations

from datetime import tzinfo
from typing import Any

from amqp.basic_message import Message as Content

from workerd.protocol.message import MalformedError, Message, decode_payload, message_from_amqp
from workerd.source.amqp.arrival import Arrival
from workerd.source.amqp.header_frames import unread
from workerd.source.amqp.shapes import Shapes
from workerd.source.amqp.topology import has_waited, without_traces
from workerd.source.base import Delivery


class Reading:
    """Of one source; times without an offset are in ``zone``."""

    def __init__(self, zone: tzinfo) -> None:
        self._zone, self._shapes = zone, Shapes(zone)

    def delivery(self, channel: str, queue: str, message: Any, came: float) -> Delivery:
        """What ``channel`` delivered from ``queue``.

        One that has waited for its ETA looks as if it had been sent to its queue just now.
        """
        body = message.body or b""  # py-amqp has an empty text for no body
        delivery = Delivery((channel, message.delivery_tag), queue, None, body, came=came)
        if isinstance(message, Arrival) and not has_waited(message.exchange, message.routing_key):
            delivery.redelivered, delivery.message = message.redelivered, self._shapes.read(message)
            if delivery.message is None and (found := self._read(delivery, message)) is not None:
                self._shapes.learn(message, found)
        else:
            self._read(delivery, message)
        return delivery

    def _read(self, delivery: Delivery, message: Any) -> Message | None:
        """The long way; what is read is the delivery's, or why nothing can be."""
        info, headers = message.delivery_info, message.headers or {}
        delivery.redelivered = bool(info["redelivered"])
        if problem := unread(headers):
            delivery.problem = problem
            return None
        exchange, key = info["exchange"], info["routing_key"]
        if has_waited(exchange, key):
            exchange, key, headers = "", delivery.queue, without_traces(headers)
        try:
            delivery.message = message_from_amqp(
                message.properties,
                headers,
                delivery.raw,
                exchange=exchange,
                routing_key=key,
                redelivered=delivery.redelivered,
                zone=self._zone,
            )
        except MalformedError as exc:
            delivery.problem = str(exc)
        return delivery.message


def content_of(payload: bytes) -> Content:
    """The message that ``payload`` was made of, to be published again.  Errors: msgspec.MsgspecError."""
    parts = decode_payload(payload)
    return Content(parts.body, application_headers=parts.headers, **parts.properties)
