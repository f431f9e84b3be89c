"""The typed parts of a task message, as far as they are read without decoding its body.

Fields that a client may leave out or set to null have a default here; unknown fields are ignored.  What is
not in the exact form is read once more with ``lenient``; what has no meaning even so is an error.  One set
of structs serves the JSON envelope of Redis and the properties of AMQP.

Errors:  MalformedError, with the reason in words, for everything that cannot be read.
"""

from __future__ import annotations

import binascii
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from workerd.protocol.lenient import MOST, load_json, tidy

T = TypeVar("T")

Priority = Annotated[int, msgspec.Meta(ge=0, le=255)]
Count = Annotated[int, msgspec.Meta(ge=0, le=MOST)]


class MalformedError(ValueError):
    """A message that cannot be read; the text is the reason in words."""


class Headers(msgspec.Struct, frozen=True, gc=False):
    """Headers of protocol 2; all absent in a protocol 1 message."""

    task: str | UnsetType = UNSET
    id: str | UnsetType = UNSET
    shadow: str | None = None
    eta: str | None = None
    expires: str | None = None
    group: str | None = None
    retries: Count | None = None
    timelimit: tuple[float | None, float | None] | None = None
    root_id: str | None = None
    parent_id: str | None = None
    argsrepr: str | None = None
    kwargsrepr: str | None = None
    origin: str | None = None
    ignore_result: bool | None = None
    replaced_task_nesting: Count | None = None
    compression: str | None = None
    redelivered: bool | None = None
    deaths: Count | None = msgspec.field(default=None, name="x-workerd-deaths")
    requeued: str | None = msgspec.field(default=None, name="x-workerd-requeued")


class DeliveryInfo(msgspec.Struct, frozen=True, gc=False):
    """Where a message was sent to."""

    exchange: str | None = None
    routing_key: str | None = None
    redelivered: bool | None = None


class Properties(msgspec.Struct, frozen=True, gc=False):
    """Properties of both transports; the last four exist only in an envelope of Redis."""

    correlation_id: str | None = None
    reply_to: str | None = None
    priority: Priority | None = None
    content_type: str | None = None
    content_encoding: str | None = None
    delivery_info: DeliveryInfo = DeliveryInfo()
    delivery_tag: str | int | None = None
    body_encoding: str | None = None


class Envelope(msgspec.Struct, frozen=True, gc=False):
    """The JSON that kombu keeps in a Redis list."""

    body: str
    headers: Headers
    properties: Properties
    content_type: str | None = msgspec.field(default=None, name="content-type")
    content_encoding: str | None = msgspec.field(default=None, name="content-encoding")


_decoder = msgspec.json.Decoder(Envelope)


def decode_envelope(raw: bytes) -> Envelope:
    """Read the JSON envelope of a Redis list entry."""
    try:
        return _decoder.decode(raw)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return reading("the envelope", _decode_leniently, raw)


def is_exact(raw: bytes) -> bool:
    """True when every field of the envelope is in the form that it has here, and nothing need be tidied."""
    try:
        _decoder.decode(raw)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return False
    return True


def fields_of(what: str, values: Any, kind: type[T]) -> T:
    """``values`` that are decoded already, as the struct ``kind``."""
    found: T = reading(what, _convert_leniently, values, kind)
    return found


def _decode_leniently(raw: bytes) -> Envelope:
    data = load_json(raw)
    parts = {name: tidy(data[name]) for name in ("headers", "properties") if isinstance(data[name], dict)}
    return msgspec.convert(data | parts, Envelope, strict=False)


def _convert_leniently(values: Any, kind: Any) -> Any:
    return msgspec.convert(tidy(values) if isinstance(values, dict) else values, kind, strict=False)


def reading(what: str, read: Callable[..., T], *args: Any) -> T:
    """``read(*args)`` with every way to fail turned into MalformedError about ``what``."""
    try:
        return read(*args)
    except msgspec.ValidationError as exc:
        raise MalformedError(f"{what} has a wrong or missing field: {exc}") from exc
    except RecursionError as exc:
        raise MalformedError(f"{what} is nested too deeply") from exc
    except KeyError as exc:
        raise MalformedError(f"{what} has no field {exc}") from exc
    except (msgspec.MsgspecError, ValueError, TypeError, OverflowError) as exc:
        raise MalformedError(f"{what} cannot be decoded: {exc}") from exc


def transport_body(body: str, body_encoding: str | None) -> bytes:
    """The body's bytes with the transport's base64 undone."""
    if body_encoding != "base64":
        return body.encode("utf-8", "surrogatepass")
    try:
        return binascii.a2b_base64(body, strict_mode=True)
    except (binascii.Error, ValueError) as exc:
        raise MalformedError(f"the body is not base64: {exc}") from exc
