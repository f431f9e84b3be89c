"""What the supervisor reads of a task message; arguments stay undecoded in ``payload``.

A protocol 1 message has its name, id and times in the body, so a JSON body is decoded for these.

Units:   Unix time for ``eta`` and ``expires``; ``timelimit`` is (hard, soft) in seconds, as on the wire.
Errors:  MalformedError for every message that cannot be read, and no other.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, tzinfo
from typing import Any, Literal

import msgspec
from msgspec import UNSET

from workerd.protocol.envelope import (
    Count,
    Envelope,
    Headers,
    MalformedError,
    Properties,
    decode_envelope,
    fields_of,
    reading,
    transport_body,
)
from workerd.protocol.lenient import load_json, printable_tree
from workerd.protocol.moment import parse_moment

__all__ = [
    "AmqpPayload",
    "MalformedError",
    "Message",
    "decode_payload",
    "encode_payload",
    "message_from_amqp",
    "message_from_payload",
    "message_from_redis",
]

Limits = tuple[float | None, float | None]


class Message(msgspec.Struct, kw_only=True, gc=False):
    """One task call as the supervisor sees it; texts and numbers alone, so no cycle can go through it."""

    id: str
    task: str
    protocol: Literal[1, 2]
    payload: bytes
    """What the child gets, self-contained: the raw envelope of Redis, or an ``AmqpPayload`` in msgpack."""
    content_type: str
    shadow: str | None = None
    eta: float | None = None
    expires: float | None = None
    retries: int = 0
    timelimit: Limits = (None, None)
    root_id: str | None = None
    parent_id: str | None = None
    group: str | None = None
    argsrepr: str = ""
    kwargsrepr: str = ""
    origin: str | None = None
    ignore_result: bool | None = None
    replaced_task_nesting: int = 0
    reply_to: str | None = None
    correlation_id: str | None = None
    priority: int = 0
    publisher_tag: str = ""
    """The publisher's ``properties.delivery_tag`` on Redis, else empty."""
    exchange: str = ""
    routing_key: str = ""
    deaths: int = 0
    """Children that this message has killed, as counted before a give-back."""
    requeued: str = ""
    """On AMQP, what tells a message that was taken out of a dead queue from what it was before."""
    redelivered: bool = False


class AmqpPayload(msgspec.Struct, frozen=True, array_like=True):
    """An AMQP task message as one msgpack array, which no JSON text can be mistaken for."""

    properties: dict[str, Any]
    headers: dict[str, Any]
    body: bytes
    exchange: str
    routing_key: str
    redelivered: bool


class _BodyV1(msgspec.Struct, frozen=True):
    task: str
    id: str
    eta: str | None = None
    expires: str | None = None
    retries: Count | None = None
    timelimit: Limits | None = None
    group: str | None = None


def message_from_redis(raw: bytes, zone: tzinfo = UTC) -> Message:
    """Read an entry of a Redis list; times without an offset are in ``zone``."""
    envelope = decode_envelope(raw)
    info = envelope.properties.delivery_info
    version_2 = envelope.headers.task is not UNSET
    message = _version_2(envelope, raw, zone) if version_2 else _message(envelope, raw, zone)
    message.publisher_tag = str(envelope.properties.delivery_tag or "")
    message.exchange, message.routing_key = info.exchange or "", info.routing_key or ""
    message.redelivered = bool(envelope.headers.redelivered or info.redelivered)
    return message


def message_from_amqp(
    properties: Mapping[str, Any],
    headers: Mapping[str, Any],
    body: bytes | str,
    *,
    exchange: str,
    routing_key: str,
    redelivered: bool,
    zone: tzinfo = UTC,
) -> Message:
    """Read a message as an AMQP channel delivers it; times without an offset are in ``zone``."""
    plain = {key: value for key, value in properties.items() if key != "application_headers"}
    data = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else bytes(body)
    parts = AmqpPayload(plain, dict(headers), data, exchange, routing_key, redelivered)
    try:
        payload = encode_payload(parts)
    except (msgspec.MsgspecError, ValueError, TypeError, OverflowError, RecursionError):
        plain, tidied = (reading("the message", printable_tree, part) for part in (plain, parts.headers))
        parts = AmqpPayload(plain, tidied, data, exchange, routing_key, redelivered)
        payload = reading("the message", encode_payload, parts)
    envelope = Envelope(
        body="",
        headers=fields_of("the headers", parts.headers, Headers),
        properties=fields_of("the properties", plain, Properties),
        content_type=_text(plain.get("content_type")),
    )
    message = _message(envelope, payload, zone, data)
    message.exchange, message.routing_key = exchange, routing_key
    message.redelivered = bool(redelivered or envelope.headers.redelivered)
    return message


def message_from_payload(payload: bytes, zone: tzinfo = UTC) -> Message:
    """Read an AMQP message once more, from what a child would get of it."""
    parts = reading("the message", decode_payload, payload)
    return message_from_amqp(
        parts.properties,
        parts.headers,
        parts.body,
        exchange=parts.exchange,
        routing_key=parts.routing_key,
        redelivered=parts.redelivered,
        zone=zone,
    )


def _message(envelope: Envelope, payload: bytes, zone: tzinfo, body: bytes | None = None) -> Message:
    if envelope.headers.task is not UNSET:
        return _version_2(envelope, payload, zone)
    if body is None:
        body = transport_body(envelope.body, envelope.properties.body_encoding)
    return _version_1(envelope, payload, body, zone)


def _version_2(envelope: Envelope, payload: bytes, zone: tzinfo) -> Message:
    headers, properties = envelope.headers, envelope.properties
    task, task_id = headers.task, headers.id
    if not task or not task_id:
        raise _nameless(task)
    # In one go: this is done for each message, and an attribute set later costs as much as one given here.
    return Message(
        id=task_id,
        task=task,
        protocol=2,
        payload=payload,
        content_type=envelope.content_type or "application/json",
        shadow=headers.shadow,
        eta=_moment("the eta", headers.eta, zone) if headers.eta else None,
        expires=_moment("the expiry", headers.expires, zone) if headers.expires else None,
        retries=headers.retries or 0,
        timelimit=headers.timelimit or (None, None),
        root_id=headers.root_id,
        parent_id=headers.parent_id,
        group=headers.group,
        argsrepr=headers.argsrepr or "",
        kwargsrepr=headers.kwargsrepr or "",
        origin=headers.origin,
        ignore_result=headers.ignore_result,
        replaced_task_nesting=headers.replaced_task_nesting or 0,
        reply_to=properties.reply_to,
        correlation_id=properties.correlation_id,
        priority=properties.priority or 0,
        deaths=headers.deaths or 0,
        requeued=headers.requeued or "",
    )


def _version_1(envelope: Envelope, payload: bytes, body: bytes, zone: tzinfo) -> Message:
    headers, properties = envelope.headers, envelope.properties
    if headers.compression:
        raise MalformedError("no task header, and a compressed protocol 1 body is not read")
    if envelope.content_type not in (None, "application/json"):
        raise MalformedError(f"no task header, and a body of type {envelope.content_type} is not read")
    call = reading("there is no task header, and the body as protocol 1", _call_v1, body)
    if not call.task or not call.id:
        raise _nameless(call.task)
    return Message(
        id=call.id,
        task=call.task,
        protocol=1,
        payload=payload,
        content_type=envelope.content_type or "application/json",
        eta=_moment("the eta", call.eta, zone) if call.eta else None,
        expires=_moment("the expiry", call.expires, zone) if call.expires else None,
        retries=call.retries or 0,
        timelimit=call.timelimit or (None, None),
        group=call.group,
        reply_to=properties.reply_to,
        correlation_id=properties.correlation_id,
        priority=properties.priority or 0,
        deaths=headers.deaths or 0,
        requeued=headers.requeued or "",
    )


def _call_v1(body: bytes) -> _BodyV1:
    try:
        return _decode_v1(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return fields_of("the call", load_json(body), _BodyV1)


def _nameless(task: object) -> MalformedError:
    return MalformedError("the task's name is empty" if not task else "the task's id is missing")


def _moment(what: str, text: str, zone: tzinfo) -> float | None:
    return reading(what, parse_moment, text, zone)


decode_payload = msgspec.msgpack.Decoder(AmqpPayload).decode
"""Errors: msgspec.MsgspecError."""
_decode_v1 = msgspec.json.Decoder(_BodyV1).decode
# AMQP tables may hold decimals and dates of their own; a custom header is never a reason to fail.
encode_payload = msgspec.msgpack.Encoder(enc_hook=str).encode
"""Errors: ValueError, TypeError, OverflowError, RecursionError and msgspec.MsgspecError."""


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
