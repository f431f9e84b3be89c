"""Envelopes of Redis with a mark changed, and all else kept byte for byte.

One that only Python reads (see ``lenient``) keeps its meaning, not its bytes.

Errors:  MalformedError for bytes that are no envelope.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec

from workerd.protocol.envelope import MalformedError, reading

DEATHS = "x-workerd-deaths"
"""The header that counts the children that a message has killed."""

Fields = dict[str, Any]
Change = Callable[[Fields, Fields], None]
"""Changes headers and properties in place; their values are plain, or ``msgspec.Raw``."""


def mark_redelivered(raw: bytes, deaths: int = 0) -> bytes:
    """The envelope with both redelivered marks set, and the count of ``deaths`` unless that is 0."""

    def change(headers: Fields, properties: Fields) -> None:
        headers["redelivered"] = True
        if deaths:
            headers[DEATHS] = deaths
        properties["delivery_info"] = _fields(properties.get("delivery_info")) | {"redelivered": True}

    return _changed(raw, change)


def set_deaths(raw: bytes, deaths: int) -> bytes:
    """The envelope with the count of ``deaths``."""

    def change(headers: Fields, properties: Fields) -> None:
        headers[DEATHS] = deaths

    return _changed(raw, change)


def sent_anew(raw: bytes, tag: str) -> bytes:
    """The envelope as its publisher would send it now: under another delivery tag, its deaths forgotten."""

    def change(headers: Fields, properties: Fields) -> None:
        headers.pop(DEATHS, None)
        properties["delivery_tag"] = tag

    return _changed(raw, change)


def _changed(raw: bytes, change: Change) -> bytes:
    try:
        return _changed_raw(raw, change)
    except MalformedError:
        return reading("the envelope", _changed_leniently, raw, change)


def _changed_leniently(raw: bytes, change: Change) -> bytes:
    envelope = json.loads(raw)
    headers, properties = envelope["headers"], envelope["properties"]
    if not isinstance(headers, dict) or not isinstance(properties, dict):
        raise TypeError("headers and properties must be objects")
    change(headers, properties)
    return json.dumps(envelope).encode()


def _changed_raw(raw: bytes, change: Change) -> bytes:
    envelope = _raw_fields("the envelope", raw)
    headers = _raw_fields("the headers", envelope.get("headers"))
    properties = _raw_fields("the properties", envelope.get("properties"))
    change(headers, properties)
    return msgspec.json.encode(envelope | {"headers": headers, "properties": properties})


def _fields(value: Any) -> Fields:
    """An object inside the properties, in whichever of the two forms it is there."""
    if isinstance(value, msgspec.Raw):
        return _raw_fields("the delivery info", value)
    return value or {}


def _raw_fields(what: str, raw: bytes | msgspec.Raw | None) -> Fields:
    if raw is None:
        raise MalformedError(f"{what} is missing")
    return dict(reading(what, _decode_raw, raw))


_decode_raw = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
