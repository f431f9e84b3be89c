"""A task message that is encoded and addressed, and its form in a list of Redis.

That form is the one that kombu writes, field by field and in its order; only the spaces in the JSON differ.

Errors:  EncodeError for a header that JSON does not carry.
"""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import msgspec

from workerd.protocol.serial import dump


class Parcel(msgspec.Struct, kw_only=True):
    """What leaves for the broker."""

    exchange: str
    routing_key: str
    content_type: str
    content_encoding: str
    headers: dict[str, Any]
    correlation_id: str
    reply_to: str
    delivery_mode: int
    expiration: float | None
    """Seconds, after which the broker itself may drop it."""
    priority: int
    body: bytes
    plain: bool
    """Its headers are texts, numbers and nulls alone."""

    @property
    def milliseconds(self) -> str | None:
        """The expiration as it stands on the wire."""
        return None if self.expiration is None else str(int(self.expiration * 1000))


def envelope_of(parcel: Parcel, tag: str) -> bytes:
    """The entry of a Redis list; ``tag`` names this publish of it."""
    envelope = _envelope(parcel, tag)
    if parcel.plain:
        try:
            return _encode(envelope)
        except UnicodeEncodeError:  # half of a surrogate pair, which JSON writes as an escape
            pass
    return dump(envelope, "json")[2]


def plain_envelope(parcel: Parcel, tag: str) -> bytes:
    """The same of a plain parcel; UnicodeEncodeError for one with half of a surrogate pair."""
    return _encode(_envelope(parcel, tag))


def _envelope(parcel: Parcel, tag: str) -> dict[str, Any]:
    expiration = parcel.milliseconds
    properties = {
        "correlation_id": parcel.correlation_id,
        "reply_to": parcel.reply_to,
        "delivery_mode": parcel.delivery_mode,
        **({} if expiration is None else {"expiration": expiration}),
        "delivery_info": {"exchange": parcel.exchange, "routing_key": parcel.routing_key},
        "priority": parcel.priority,
        "body_encoding": "base64",
        "delivery_tag": tag,
    }
    return {
        "body": b64encode(parcel.body).decode(),
        "content-encoding": parcel.content_encoding,
        "content-type": parcel.content_type,
        "headers": parcel.headers,
        "properties": properties,
    }


_encode = msgspec.json.Encoder().encode
