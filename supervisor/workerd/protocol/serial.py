"""Serializers and compressors: kombu's, behind four typed functions.

Errors:  EncodeError for a value that cannot be written; DecodeError for bytes that cannot be read;
         ContentDisallowed for a content type that is not accepted.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from kombu import compression as _kombu_compression
from kombu import serialization as _kombu_serialization
from kombu.exceptions import ContentDisallowed, DecodeError, EncodeError
from kombu.utils import json as _kombu_json

from workerd.protocol.outgoing import NO_EMBED

__all__ = [
    "ContentDisallowed",
    "DecodeError",
    "EncodeError",
    "can_pack",
    "content_type_of",
    "dump",
    "load",
    "pack",
    "unpack",
]

# kombu has types for some of its functions only.
_serialization: Any = _kombu_serialization
_compression: Any = _kombu_compression
_json_encoder = _kombu_json.JSONEncoder()

_MSGPACK, _JSON = "application/x-msgpack", "application/json"

_NO_EMBED = _json_encoder.encode(dict(NO_EMBED))

_OTHER: Any = object()
_kombus_json: Any = _serialization.registry._decoders[_JSON]
_decode_json = msgspec.json.Decoder().decode


def dump(value: Any, serializer: str) -> tuple[str, str, bytes]:
    """(content type, content encoding, bytes) of ``value``."""
    if serializer == "msgpack":
        return _MSGPACK, "binary", _dump_msgpack(value)
    known = _serialization.registry._encoders.get(serializer)
    try:
        if known is not None and known.encoder is _kombu_json.dumps:
            content_type, encoding, data = known.content_type, known.content_encoding, _dump_json(value)
        else:
            content_type, encoding, data = _serialization.dumps(value, serializer=serializer)
    except RecursionError as exc:
        raise EncodeError("the value is nested too deeply") from exc
    return content_type, encoding, data.encode() if isinstance(data, str) else bytes(data)


def dump_call(args: tuple[Any, ...], kwargs: dict[str, Any], serializer: str) -> tuple[str, str, bytes]:
    """``dump`` of the body of a call that nothing follows."""
    known = _serialization.registry._encoders.get(serializer)
    if known is None or known.encoder is not _kombu_json.dumps or serializer == "msgpack":
        return dump((args, kwargs, dict(NO_EMBED)), serializer)
    try:
        text = f"[{_dump_json(args)}, {_dump_json(kwargs) if kwargs else '{}'}, {_NO_EMBED}]"
    except RecursionError as exc:
        raise EncodeError("the value is nested too deeply") from exc
    return known.content_type, known.content_encoding, text.encode()


def _dump_json(value: Any) -> str:
    """What kombu's ``json.dumps`` returns, which makes an encoder for each value."""
    try:
        return _json_encoder.encode(value)
    except RecursionError:
        raise
    except Exception as exc:  # also what the value's own code raises, as kombu does it
        raise EncodeError(exc) from exc


def load(data: bytes, content_type: str, encoding: str, accept: Iterable[str] | None) -> Any:
    """The value in ``data``; ``accept`` names serializers or content types, None only the safe ones."""
    names = None if accept is None else list(accept)
    if content_type == _JSON and names is not None and ("json" in names or _JSON in names):
        value = _plain_json(data)
        if value is not _OTHER:
            return value
    allowed: set[str] | None = _serialization.prepare_accept_content(names)
    if content_type == _MSGPACK:
        return _load_msgpack(data, allowed)
    try:
        return _serialization.loads(data, content_type, encoding, accept=allowed)
    except RecursionError as exc:
        raise DecodeError("the value is nested too deeply") from exc


def pack(data: bytes, compression: str) -> tuple[bytes, str]:
    """(compressed bytes, content type of the compression)."""
    packed, content_type = _compression.compress(data, compression)
    return bytes(packed), str(content_type)


def can_pack(compression: str) -> bool:
    """True when ``pack`` knows ``compression`` and its module is installed."""
    try:
        _compression.get_encoder(compression)
    except KeyError:
        return False
    return True


def unpack(data: bytes, compression: str) -> bytes:
    """Undo ``pack``, by name or content type."""
    try:
        return bytes(_compression.decompress(data, compression))
    except Exception as exc:  # each decompressor raises errors of its own
        raise DecodeError(f"cannot be decompressed as {compression}: {exc}") from exc


def content_type_of(serializer: str) -> tuple[str, str]:
    """(content type, content encoding) that ``serializer`` writes."""
    encoder: Any = _serialization.registry._encoders.get(serializer)
    if encoder is None:
        raise DecodeError(f"there is no serializer {serializer!r}")
    return str(encoder.content_type), str(encoder.content_encoding)


def _dump_msgpack(value: Any) -> bytes:
    try:
        return msgspec.msgpack.encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError) as exc:
        raise EncodeError(f"not for msgpack: {exc}") from exc


def _plain_json(data: bytes) -> Any:
    """The value that kombu would read too, in a tenth of its time; ``_OTHER`` where only kombu knows.

    Those are its own tagged types, what Python writes beside the letter of JSON, what is no JSON at all, and
    everything once an app has put a serializer of its own in place of kombu's.
    """
    if b"__type__" in data or _serialization.registry._decoders.get(_JSON) is not _kombus_json:
        return _OTHER
    try:
        return _decode_json(data)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return _OTHER


def _load_msgpack(data: bytes, allowed: set[str] | None) -> Any:
    # kombu needs the msgpack package for this; msgspec is here anyway.
    if allowed is None or _MSGPACK not in allowed:
        raise ContentDisallowed(f"refusing to decode {_MSGPACK}: it is not accepted here")
    try:
        return msgspec.msgpack.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError) as exc:
        raise DecodeError(f"not msgpack: {exc}") from exc
