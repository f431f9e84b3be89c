"""Events as they travel: what happened, when by both clocks, and whose word it is.

One message holds one event, or a list of events of one group (``task.multi``).

Units:  ``timestamp`` is Unix time; ``utcoffset`` is hours, positive west of Greenwich.
"""

from __future__ import annotations

import os
import time
from typing import Any

import msgspec

from workerd.protocol.serial import dump

Event = dict[str, Any]

_encode = msgspec.json.Encoder(enc_hook=repr).encode


def make_event(kind: str, hostname: str, clock: int | None, fields: dict[str, Any]) -> Event:
    """An event of the type ``kind``, such as ``task-started``, of this process, that happens now."""
    return {
        "hostname": hostname,
        "utcoffset": utcoffset(),
        "pid": os.getpid(),
        "clock": clock,
        **fields,
        "timestamp": time.time(),
        "type": kind,
    }


def group_of(kind: str) -> str:
    """``task`` of ``task-started``."""
    return kind.partition("-")[0]


def key_of(kind: str) -> str:
    """The routing key of one event."""
    return kind.replace("-", ".")


def utcoffset() -> float:
    """Of this machine's zone, now."""
    seconds = time.altzone if time.daylight and time.localtime().tm_isdst > 0 else time.timezone
    return seconds / 3600


def encoded(events: Event | list[Any], serializer: str) -> tuple[str, str, bytes]:
    """(content type, content encoding, bytes) of events, mappings or msgspec's structs.

    Errors: EncodeError for what ``serializer`` cannot write."""
    if serializer == "json":
        return "application/json", "utf-8", _encode(events)
    return dump(msgspec.to_builtins(events, enc_hook=repr), serializer)
