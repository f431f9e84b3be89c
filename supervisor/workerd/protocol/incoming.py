"""A task message as the child reads it: its payload opened, its arguments decoded.

Errors:  MalformedError for bytes that are no payload; InvalidTaskError for a body that is no call;
         kombu's ContentDisallowed for a content type that is not accepted, DecodeError for a bad body.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from kombu.exceptions import ContentDisallowed, DecodeError

from workerd.protocol.envelope import (
    Headers,
    MalformedError,
    Properties,
    fields_of,
    is_exact,
    reading,
    transport_body,
)
from workerd.protocol.exceptions import InvalidTaskError
from workerd.protocol.lenient import load_json
from workerd.protocol.message import AmqpPayload
from workerd.protocol.serial import load, unpack

# Every array of msgpack begins with a byte above this, and no JSON text does.
_LAST_ASCII = 0x7F

Call = tuple[list[Any], dict[str, Any], Mapping[str, Any]]

# Every header that protocol 2 gives a meaning; all others are the sender's own.
STANDARD_HEADERS = frozenset(
    {"lang", "task", "id", "shadow", "eta", "expires", "group", "group_index", "retries", "timelimit"}
    | {"root_id", "parent_id", "argsrepr", "kwargsrepr", "origin", "ignore_result", "replaced_task_nesting"}
    | {"stamped_headers", "stamps", "compression", "redelivered", "x-workerd-deaths", "x-workerd-requeued"}
)
_NO_LIMITS = (None, None)
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
        """(args, kwargs, embed), decoded with a serializer that ``accept`` names.

        What ``embed`` does not have, or has as null, there is not.
        """
        data = self._decoded(accept)
        if isinstance(data, Mapping):
            return self._call_v1(dict(data))
        if not isinstance(data, (list, tuple)) or len(data) != 3:
            raise InvalidTaskError("the body is not [args, kwargs, embed]")
        args, kwargs, embed = data
        if embed and not isinstance(embed, Mapping):
            raise InvalidTaskError("embed is not an object")
        return _checked_call(args, kwargs, embed or {})

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
        if STANDARD_HEADERS.issuperset(self.headers):
            return {}
        return {key: value for key, value in self.headers.items() if key not in STANDARD_HEADERS}


PLAIN = ("json", "msgpack")
"""Serializers that cannot run code, so that anybody may decode with them."""


def plain_call(payload: bytes) -> tuple[list[Any], dict[str, Any]]:
    """(args, kwargs) of ``Message.payload``; empty where they cannot be read, or not without running code."""
    try:
        args, kwargs, _ = open_payload(payload).load(PLAIN)
    except (MalformedError, InvalidTaskError, ContentDisallowed, DecodeError):
        return [], {}
    return args, kwargs


def waits_for(payload: bytes) -> bool:
    """Somebody waits for the end of this call: an errback, a chain, a chord; False if it cannot be read."""
    try:
        embed = open_payload(payload).load(PLAIN)[2]
    except (MalformedError, InvalidTaskError, ContentDisallowed, DecodeError):
        return False
    return bool(embed.get("errbacks") or embed.get("chain") or embed.get("chord"))


def open_payload(payload: bytes) -> Incoming:
    """Open what ``Message.payload`` holds."""
    if payload and payload[0] > _LAST_ASCII:
        return _from_amqp(payload)
    envelope = reading("the envelope", _envelope, payload)
    if is_exact(payload):  # as nearly all are: two readings in C are less than one tidying in Python
        headers, properties = envelope["headers"], envelope["properties"]
    else:
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


def _from_amqp(payload: bytes) -> Incoming:
    parts = reading("the payload", _decode_amqp, payload)
    headers, properties = parts.headers, parts.properties
    if not _is_exact_amqp(payload):
        headers = _canonical("the headers", headers, Headers)
        properties = _canonical("the properties", properties, Properties)
    return Incoming(
        headers=headers,
        properties=properties,
        content_type=properties.get("content_type") or "application/json",
        content_encoding=properties.get("content_encoding") or "utf-8",
        body=parts.body,
        exchange=parts.exchange,
        routing_key=parts.routing_key,
        redelivered=parts.redelivered,
    )


def _is_exact_amqp(payload: bytes) -> bool:
    """As ``is_exact``, for what came over AMQP; unlike JSON that can carry limits without an end."""
    try:
        limits = _decode_exact_amqp(payload)[1].timelimit
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return False
    return limits in (None, _NO_LIMITS) or all(limit is None or math.isfinite(limit) for limit in limits)


def _checked_call(args: Any, kwargs: Any, embed: Mapping[str, Any]) -> Call:
    if not isinstance(args, (list, tuple)):
        raise InvalidTaskError("args is not a list")
    if not isinstance(kwargs, Mapping) or (kwargs and not all(isinstance(key, str) for key in kwargs)):
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
    # In C: to go through the fields here took 400 us, which was half of a short task's time in its child.
    known: dict[str, Any] = msgspec.to_builtins(fields_of(what, plain, kind))
    known.pop("delivery_info", None)
    if "timelimit" in known:
        known["timelimit"] = list(known["timelimit"] or (None, None))
    return {name: known.get(name, value) for name, value in plain.items()}


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise MalformedError("not an object")
    return value


_decode_amqp = msgspec.msgpack.Decoder(AmqpPayload).decode
_decode_exact_amqp = msgspec.msgpack.Decoder(tuple[Properties, Headers, bytes, str, str, bool]).decode
_decode_json = msgspec.json.Decoder(dict[str, Any]).decode
