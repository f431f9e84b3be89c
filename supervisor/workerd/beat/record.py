"""What is remembered of an entry, and the state of all as it travels.

Units:   Unix time.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class Record(msgspec.Struct, frozen=True):
    """One entry, so far."""

    schedule: str
    """How its schedule reads; another one begins anew."""
    last: float
    """The tick that was dealt with last, or the time at which the entry was seen first."""
    total: int = 0
    """Ticks that were sent."""
    sent: float | None = None
    """When the last of them was."""


class State(msgspec.Struct):
    """Everything, as one message holds it."""

    entries: dict[str, Record] = {}
    paused: list[str] = []
    leader: str = ""


def later(one: Mapping[str, Record], other: Mapping[str, Record]) -> dict[str, Record]:
    """Of each entry the record that knows more."""
    found = dict(one)
    for name, record in other.items():
        known = found.get(name)
        if known is None or (record.last, record.total) > (known.last, known.total):
            found[name] = record
    return found


read_record = msgspec.json.Decoder(Record).decode
read_state = msgspec.json.Decoder(State).decode
write = msgspec.json.Encoder().encode
