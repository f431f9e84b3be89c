"""A task message as the child reads it: its payload opened, its arguments decoded.

Errors:  MalformedError for bytes that are no payload; InvalidTaskError for a body that is no call;
         kombu's ContentDisallowed for a content type that is not accepted, DecodeError for a bad body.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from workerd.protocol.envelope import (
    Headers,
    MalformedError,
    Properties,
    fields_of,
    reading,
    transport_body,
)
from workerd.protocol.exceptions import InvalidTaskError
from workerd.protocol.lenient import load_json
from workerd.protocol.message import AmqpPayload
from workerd.protocol.serial import load, unpack

# Every array of msgpack begins with a byte above this, and no JSON text does.
_LAST_ASCII = 0x7F

Call = tuple[list[Any], dict[str, Any], dict[str, Any]]

# Every header that protocol 2 gives a meaning; all others are the sender's own.
STANDARD_HEADERS = frozenset(
    {"lang", "task", "id", "shadow", "eta", "expires", "group", "group_index", "retries", "timelimit"}
    | {"root_id", "parent_id", "argsrepr", "kwargsrepr", "origin", "ignore_result", "replaced_task_nesting"}
    | {"stamped_headers", "stamps", "compression", "redelivered", "x-workerd-deaths", "x-workerd-requeued"}
)
_EMBED = ("callbacks", "errbacks", "chain", "chord")


class Incoming(msgspec.Struct, kw_only=True):
    """One message; ``headers`` are those of protocol 2, also for a message of protocol 1 once loaded."""

    headers: dict[str, Any]
    properties: dict[str, Any]
    content_type: str
    content_encoding: str
    body: bytes
    exchange: str
    routing_key: str
    redelivered: bool

    def load(self, accept: Iterable[str] = ("json",)) -> Call:
        """(args, kwargs, embed), decoded with a serializer that ``accept`` names."""
        data = self._decoded(accept)
        if isinstance(data, Mapping):
            return self._call_v1(dict(data))
        if not isinstance(data, (list, tuple)) or len(data) != 3:
            raise InvalidTaskError("the body is not [args, kwargs, embed]")
        args, kwargs, embed = data
        return _checked_call(args, kwargs, {key: (embed or {}).get(key) for key in _EMBED})

    def _decoded(self, accept: Iterable[str]) -> Any:
        packing = self.headers.get("compression")
        body = unpack(self.body, packing) if packing else self.body
        return load(body, self.content_type, self.content_encoding, accept)

    def _call_v1(self, body: dict[str, Any]) -> Call:
        if "args" not in body and "task" not in body:
            raise InvalidTaskError("the body is neither [args, kwargs, embed] nor a call of protocol 1")
        args, kwargs = body.pop("args", ()), body.pop("kwargs", {})
        embed = {key: body.pop(key, None) for key in _EMBED}
        self.headers = body | self.headers
        self.headers.setdefault("root_id", self.headers.get("id"))
        return _checked_call(args, kwargs, embed)

    def custom_headers(self) -> dict[str, Any]:
        """The headers that only the sender gives a meaning."""
        return {key: value for key, value in self.headers.items() if key not in STANDARD_HEADERS}


def open_payload(payload: bytes) -> Incoming:
    """Open what ``Message.payload`` holds."""
    if payload and payload[0] > _LAST_ASCII:
        return _from_amqp(reading("the payload", _decode_amqp, payload))
    envelope = reading("the envelope", _envelope, payload)
    headers = _canonical("the headers", envelope.get("headers"), Headers)
    properties = _canonical("the properties", envelope.get("properties"), Properties)
    body, info = envelope.get("body"), properties.get("delivery_info") or {}
    if not isinstance(body, str):
        raise MalformedError("the body is missing")
    return Incoming(
        headers=headers,
        properties=properties,
        content_type=envelope.get("content-type") or "application/json",
        content_encoding=envelope.get("content-encoding") or "utf-8",
        body=transport_body(body, properties.get("body_encoding")),
        exchange=info.get("exchange") or "",
        routing_key=info.get("routing_key") or "",
        redelivered=bool(headers.get("redelivered") or info.get("redelivered")),
    )


def _from_amqp(parts: AmqpPayload) -> Incoming:
    properties = _canonical("the properties", parts.properties, Properties)
    return Incoming(
        headers=_canonical("the headers", parts.headers, Headers),
        properties=properties,
        content_type=properties.get("content_type") or "application/json",
        content_encoding=properties.get("content_encoding") or "utf-8",
        body=parts.body,
        exchange=parts.exchange,
        routing_key=parts.routing_key,
        redelivered=parts.redelivered,
    )


def _checked_call(args: Any, kwargs: Any, embed: dict[str, Any]) -> Call:
    if not isinstance(args, (list, tuple)):
        raise InvalidTaskError("args is not a list")
    if not isinstance(kwargs, Mapping) or not all(isinstance(key, str) for key in kwargs):
        raise InvalidTaskError("kwargs is not an object with names as keys")
    return list(args), dict(kwargs), embed


def _envelope(payload: bytes) -> dict[str, Any]:
    try:
        return _decode_json(payload)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return _object(load_json(payload))


def _canonical(what: str, values: Any, kind: type[Headers | Properties]) -> dict[str, Any]:
    """``values`` with every field that ``kind`` knows in its form, as the supervisor reads it."""
    plain = reading(what, _object, values)
    read = fields_of(what, plain, kind)
    known = {field.encode_name: getattr(read, field.name) for field in msgspec.structs.fields(kind)}
    known.pop("delivery_info", None)
    if "timelimit" in known:
        known["timelimit"] = list(known["timelimit"] or (None, None))
    return {name: known.get(name, value) for name, value in plain.items()}


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise MalformedError("not an object")
    return value


_decode_amqp = msgspec.msgpack.Decoder(AmqpPayload).decode
_decode_json = msgspec.json.Decoder(dict[str, Any]).decode
