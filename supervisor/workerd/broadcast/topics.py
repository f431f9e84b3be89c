"""Names of Redis' channels for exchanges, and the envelopes that travel there, as kombu spells them."""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import msgspec

from workerd.broadcast.base import Heard, Notice
from workerd.protocol.envelope import MalformedError, reading, transport_body


class Topics(msgspec.Struct, frozen=True):
    """Channel names under one set of kombu's transport options."""

    prefix: str
    patterns: bool = True

    @classmethod
    def of_options(cls, options: Mapping[str, Any], db: int) -> Topics:
        """From the ``transport_options`` of a kombu connection to the database ``db``."""
        fanout: Any = options.get("fanout_prefix", True)
        prefix = (fanout if isinstance(fanout, str) else "/{db}.") if fanout else ""
        return cls(
            options.get("global_keyprefix", "") + prefix.format(db=db),
            bool(options.get("fanout_patterns", True)),
        )

    def channel(self, exchange: str, key: str) -> str:
        """Where a message to ``exchange`` is published."""
        return f"{self.prefix}{exchange}/{key}" if key and self.patterns else self.prefix + exchange

    def pattern(self, exchange: str, key: str) -> str:
        """What listens to all messages whose routing key ``key`` matches."""
        return self.channel(exchange, key.replace("#", "*"))


class _Properties(msgspec.Struct, frozen=True):
    delivery_info: dict[str, Any] = {}
    body_encoding: str | None = None


class _Envelope(msgspec.Struct, frozen=True):
    body: str
    headers: dict[str, Any] = {}
    properties: _Properties = _Properties()
    content_type: str | None = msgspec.field(default=None, name="content-type")
    content_encoding: str | None = msgspec.field(default=None, name="content-encoding")


_decode = msgspec.json.Decoder(_Envelope).decode
_encode = msgspec.json.Encoder(enc_hook=str).encode


def heard_of(raw: bytes) -> Heard:
    """What an envelope holds.  Errors: MalformedError."""
    envelope = reading("the envelope", _decode, raw)
    key = envelope.properties.delivery_info.get("routing_key")
    if not isinstance(key, str):
        raise MalformedError("the envelope does not say where it was sent to")
    return Heard(
        key=key,
        body=transport_body(envelope.body, envelope.properties.body_encoding),
        headers=envelope.headers,
        content_type=envelope.content_type or "application/json",
        content_encoding=envelope.content_encoding or "utf-8",
    )


def envelope_of(notice: Notice) -> bytes:
    """The envelope in which ``notice`` travels."""
    properties = {
        "delivery_mode": notice.delivery_mode,
        "delivery_info": {"exchange": notice.exchange, "routing_key": notice.key},
        "priority": 0,
        "body_encoding": "base64",
        "delivery_tag": str(uuid4()),
    }
    return _encode(
        {
            # As it is: base64 has nothing that JSON escapes, and a batch of events is 60 kB of it.
            "body": msgspec.Raw(b'"%b"' % b2a_base64(notice.body, newline=False)),
            "content-encoding": notice.content_encoding,
            "content-type": notice.content_type,
            "headers": notice.headers,
            "properties": properties,
        }
    )
