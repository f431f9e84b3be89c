"""Results as messages to their callers (``rpc://``), in the form that Celery's clients and workers use.

The body is the meta; ``correlation_id`` is the task's id.  The queue is the caller's own.

Errors:  MalformedError for an entry of a Redis list that is no message.
"""

from __future__ import annotations

import base64
from typing import Any, NamedTuple

import msgspec

from workerd.protocol.envelope import MalformedError, decode_envelope, transport_body
from workerd.protocol.outgoing import new_id

TRANSIENT, PERSISTENT = 1, 2


class Reply(NamedTuple):
    """One result on its way to who waits for it."""

    queue: str
    task_id: str
    body: bytes
    content_type: str
    content_encoding: str
    delivery_mode: int = TRANSIENT


def reply_envelope(reply: Reply) -> bytes:
    """``reply`` as the entry of a Redis list."""
    properties: dict[str, Any] = {
        "correlation_id": reply.task_id,
        "delivery_mode": reply.delivery_mode,
        "delivery_info": {"exchange": "", "routing_key": reply.queue},
        "priority": 0,
        "body_encoding": "base64",
        "delivery_tag": new_id(),
    }
    envelope = {
        "body": base64.b64encode(reply.body).decode(),
        "content-encoding": reply.content_encoding,
        "content-type": reply.content_type,
        "headers": {},
        "properties": properties,
    }
    return msgspec.json.encode(envelope)


def read_reply(queue: str, raw: bytes) -> Reply:
    """The reply that an entry of the list of ``queue`` is."""
    envelope = decode_envelope(raw)
    properties = envelope.properties
    if properties.correlation_id is None:
        raise MalformedError("the result names no task")
    return Reply(
        queue=queue,
        task_id=properties.correlation_id,
        body=transport_body(envelope.body, properties.body_encoding),
        content_type=envelope.content_type or "application/json",
        content_encoding=envelope.content_encoding or "utf-8",
    )
