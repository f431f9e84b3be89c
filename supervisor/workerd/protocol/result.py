"""Results as a backend holds them: the meta mapping of every state, and its bytes.

Units:   ``date_done`` is ISO 8601 in UTC, for states that nothing follows.
Errors:  kombu's EncodeError for a result that its serializer cannot write, DecodeError and
         ContentDisallowed for bytes that cannot or may not be read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from workerd.protocol.exceptions import NotRegistered, TaskRevokedError
from workerd.protocol.failure import encode_exception
from workerd.protocol.message import Message
from workerd.protocol.serial import DecodeError, EncodeError, content_type_of, dump, load, pack, unpack
from workerd.protocol.states import EXCEPTION_STATES, FAILURE, READY_STATES, REVOKED

COMPRESSED = b"\x00celery-compressed\x00"

# What a channel and a key begin with, before the task's id.
TASK_KEY = "celery-task-meta-"
GROUP_KEY = "celery-taskset-meta-"


class Coding(msgspec.Struct, frozen=True):
    """How results are turned into bytes; ``compression`` is one of kombu's names."""

    serializer: str = "json"
    compression: str | None = None
    accept: tuple[str, ...] = ("json",)

    def encode(self, meta: Mapping[str, Any]) -> bytes:
        """The stored bytes of ``meta``."""
        data = dump(meta, self.serializer)[2]
        if self.compression is None:
            return data
        packed, content_type = pack(data, self.compression)
        return COMPRESSED + content_type.encode() + b"\x00" + packed

    def decode(self, data: bytes) -> dict[str, Any]:
        """The meta that ``data`` holds, also when it is compressed and we would not compress."""
        if data.startswith(COMPRESSED):
            packing, _, packed = data[len(COMPRESSED) :].partition(b"\x00")
            data = unpack(packed, packing.decode("ascii", "replace"))
        meta = self.loaded(data)
        if not isinstance(meta, dict):
            raise DecodeError("the result is no mapping")
        return meta

    def dumped(self, value: Any) -> bytes:
        """The bytes of any ``value``, never compressed."""
        return dump(value, self.serializer)[2]

    def loaded(self, data: bytes) -> Any:
        """What ``dumped`` has written."""
        content_type, encoding = content_type_of(self.serializer)
        return load(data, content_type, encoding, self.accept)

    def encodable(self, value: Any) -> bool:
        """True when ``encode`` can write ``value``."""
        try:
            dump(value, self.serializer)
        except EncodeError:
            return False
        return True


class Lineage(msgspec.Struct, frozen=True, kw_only=True):
    """What a result tells of the run beside its outcome."""

    children: Sequence[Any] | None = None
    group_id: str | None = None
    parent_id: str | None = None
    extended: Mapping[str, Any] | None = None
    """Name, args, kwargs, worker, retries, queue, and stamps, when ``result_extended`` is set."""


def make_meta(
    task_id: str,
    state: str,
    result: Any,
    lineage: Lineage,
    *,
    traceback: str | None = None,
    coding: Coding | None = None,
) -> dict[str, Any]:
    """The mapping for one state of one task; an exception becomes its type, message and module."""
    if state in EXCEPTION_STATES and isinstance(result, BaseException):
        result = encode_exception(result, (coding or Coding()).encodable)
    done = datetime.now(UTC).isoformat() if state in READY_STATES else None
    meta: dict[str, Any] = {
        "status": state,
        "result": result,
        "traceback": traceback,
        "children": lineage.children,
        "date_done": done,
    }
    if lineage.group_id:
        meta["group_id"] = lineage.group_id
    if lineage.parent_id:
        meta["parent_id"] = lineage.parent_id
    meta.update(lineage.extended or {})
    meta["task_id"] = task_id
    return meta


def task_key(task_id: str, prefix: str = "") -> str:
    """The key of a result, and the channel on which it is published."""
    return f"{prefix}{TASK_KEY}{task_id}"


def group_key(group_id: str, prefix: str = "") -> str:
    """The key of a saved group, and what those of a chord's counts begin with."""
    return f"{prefix}{GROUP_KEY}{group_id}"


def supervisor_meta(message: Message, exc: Exception, coding: Coding | None = None) -> tuple[str, bytes]:
    """(state, encoded meta) for a run that ended, or never began, outside a child.

    ``exc`` is one of NotRegistered, TaskRevokedError("expired"), billiard's WorkerLostError and
    TimeLimitExceeded(seconds).
    """
    coding = coding or Coding()
    state = REVOKED if isinstance(exc, TaskRevokedError) else FAILURE
    lineage = Lineage(children=[], group_id=message.group, parent_id=message.parent_id)
    return state, coding.encode(make_meta(message.id, state, exc, lineage, coding=coding))


def not_registered(message: Message) -> NotRegistered:
    """What the result of an unknown task says."""
    return NotRegistered(message.task)
