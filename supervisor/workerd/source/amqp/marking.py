"""Messages as they leave for another queue, or go back to their own: the same content, with other headers."""

from __future__ import annotations

from typing import Any

from amqp.basic_message import Message

from workerd.protocol.rewriting import DEATHS
from workerd.source.amqp.wrapping import fits, wrapped

NOT_KEPT = ("application_headers", "expiration", "user_id")
"""Headers are merged; a dead message must not expire; RabbitMQ takes no user_id but the connection's."""


def dead_message(message: Message, marks: dict[str, Any], frame: int) -> Message:
    """The message with the same body and properties, and ``marks`` among its headers; wrapped whole where
    they do not fit into a ``frame`` together."""
    copy = marked_message(message, marks)
    return copy if fits(copy, frame) else wrapped(message, marks)


def returned_message(message: Message, deaths: int, frame: int) -> Message:
    """The message as it is given back when it has caused ``deaths``; without them where there is no room."""
    expires = {"expiration": message.properties["expiration"]} if "expiration" in message.properties else {}
    copy = marked_message(message, {DEATHS: deaths, "redelivered": True})
    if not fits(copy, frame):
        copy = marked_message(message, {})
    copy.properties.update(expires)
    return copy


def marked_message(message: Message, marks: dict[str, Any]) -> Message:
    """The message with the same body and properties, and ``marks`` among its headers."""
    properties = {key: value for key, value in message.properties.items() if key not in NOT_KEPT}
    headers = {**(message.headers or {}), **marks}
    properties["delivery_mode"] = 2
    return Message(message.body, application_headers=headers, **properties)
