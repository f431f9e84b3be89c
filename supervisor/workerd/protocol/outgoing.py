"""Task messages of protocol 2 as we write them: headers, properties, body.

Every header that a Python client of Celery writes is there, in its order, also when it is null.

Units:   seconds for limits; ``eta`` and ``expires`` are ISO 8601 texts; ``expiration`` is milliseconds.
"""

from __future__ import annotations

import os
import socket
import threading
import uuid
from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import msgspec

from workerd.protocol.brief import brief

# RabbitMQ closes the channel on a longer one (2**32 ms); the header says the same to the worker.
LONGEST_EXPIRATION = 4_294_967.0


NO_EMBED: Mapping[str, None] = MappingProxyType(dict.fromkeys(("callbacks", "errbacks", "chain", "chord")))
"""The last part of a body that nothing follows."""


class Draft(msgspec.Struct, kw_only=True):
    """One call that is to be sent."""

    id: str
    task: str
    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] = msgspec.field(default_factory=dict)
    eta: str | None = None
    expires: str | None = None
    lifetime: float | None = None
    """Seconds until ``expires``, for brokers that drop expired messages themselves."""
    retries: int = 0
    timelimit: tuple[float | None, float | None] = (None, None)
    group: str | None = None
    group_index: int | None = None
    root_id: str | None = None
    parent_id: str | None = None
    shadow: str | None = None
    ignore_result: bool | None = None
    replaced_task_nesting: int = 0
    stamped_headers: Sequence[str] | None = None
    stamps: Mapping[str, Any] = msgspec.field(default_factory=dict)
    headers: Mapping[str, Any] = msgspec.field(default_factory=dict)
    """The sender's own headers."""
    callbacks: Sequence[Any] | None = None
    errbacks: Sequence[Any] | None = None
    chain: Sequence[Any] | None = None
    chord: Any = None
    reply_to: str | None = None
    correlation_id: str | None = None
    repr_levels: int = 3

    def wire_headers(self) -> dict[str, Any]:
        """The headers, the sender's own last."""
        return {
            "lang": "py",
            "task": self.task,
            "id": self.id,
            "shadow": self.shadow,
            "eta": self.eta,
            "expires": self.expires,
            "group": self.group,
            "group_index": self.group_index,
            "retries": self.retries,
            "timelimit": list(self.timelimit),
            "root_id": self.root_id or self.id,
            "parent_id": self.parent_id,
            "argsrepr": brief(tuple(self.args), levels=self.repr_levels),
            "kwargsrepr": brief(dict(self.kwargs), levels=self.repr_levels),
            "origin": origin(),
            "ignore_result": self.ignore_result,
            "replaced_task_nesting": self.replaced_task_nesting,
            "stamped_headers": self.stamped_headers,
            "stamps": dict(self.stamps),
            **self.headers,
        }

    def wire_properties(self) -> dict[str, Any]:
        """The properties that belong to the call; delivery mode and priority belong to the sending."""
        properties: dict[str, Any] = {
            "correlation_id": self.correlation_id or self.id,
            "reply_to": self.reply_to or reply_address(),
        }
        if self.lifetime is not None and self.lifetime < LONGEST_EXPIRATION:
            properties["expiration"] = max(self.lifetime, 0.0)
        return properties

    def wire_body(self) -> tuple[tuple[Any, ...], dict[str, Any], dict[str, Any]]:
        """What the serializer is given."""
        embed = {
            "callbacks": self.callbacks,
            "errbacks": self.errbacks,
            "chain": self.chain,
            "chord": self.chord,
        }
        return tuple(self.args), dict(self.kwargs), embed


def new_id() -> str:
    """A random UUID as text, made in a fifth of the time that ``str(uuid4())`` takes."""
    text = os.urandom(16).hex()
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{_VARIANT[text[16]]}{text[17:20]}-{text[20:]}"


_VARIANT = MappingProxyType({digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"})


def origin() -> str:
    """How this process is named as a sender."""
    return f"gen{os.getpid()}@{socket.gethostname()}"


def reply_address() -> str:
    """An address that is this thread's own, in the form that Celery's clients use."""
    return _address(os.getpid(), threading.get_ident())


@lru_cache(maxsize=64)
def _address(process: int, thread: int) -> str:
    return str(uuid.uuid3(uuid.NAMESPACE_OID, f"{uuid.getnode():x}-{process:x}-{thread:x}"))
