"""Dead letters: messages that were put aside in ``<queue>.dead``, and why.

On Redis an entry of that list is JSON text with the message's bytes in base64.  On AMQP the message is
kept as it came, with the letter among its headers.

Units:   Unix time.
Errors:  MalformedError for an entry that is none.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import msgspec

from workerd.protocol.envelope import MalformedError, reading
from workerd.protocol.rewriting import DEATHS

MOST_REASON = 2000
"""Characters of a reason; on AMQP it must fit into a frame together with the other headers."""

REQUEUED = "x-workerd-requeued"
"""The header that makes an AMQP message that was taken out of the dead queue a new one."""

_MARKS = {
    "id": "x-workerd-letter",
    "reason": "x-workerd-reason",
    "queue": "x-workerd-queue",
    "time": "x-workerd-time",
    "node": "x-workerd-node",
    "deaths": DEATHS,
}


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """What is written on a dead letter beside the message itself."""

    reason: str
    queue: str
    """Where the message came from."""
    time: float
    id: str = ""
    """The letter's own name, which no other has; the message's id may stand in several."""
    node: str = ""
    """The daemon that put it aside."""
    deaths: int = 0
    """Children, or whole daemons, that died while they ran it."""


def entry_of(letter: Letter, raw: bytes) -> bytes:
    """An entry of a dead queue on Redis."""
    fields = {"raw": base64.b64encode(raw).decode()} | msgspec.structs.asdict(letter)
    return msgspec.json.encode(fields)


def open_entry(entry: bytes) -> tuple[Letter, bytes]:
    """The letter, and the message byte for byte."""
    return reading("the dead letter", _opened, entry)


def marks_of(letter: Letter) -> dict[str, Any]:
    """The headers that a dead letter on AMQP has beside its own."""
    return {mark: getattr(letter, name) for name, mark in _MARKS.items()}


def letter_of(headers: Mapping[str, Any], queue: str) -> Letter:
    """The letter among ``headers``; of a message that somebody else has put into the dead queue of
    ``queue``, all that is known."""
    found = {name: headers[mark] for name, mark in _MARKS.items() if mark in headers}
    known = {"reason": "not put aside by workerd", "queue": queue, "time": 0.0} | found
    return reading("the dead letter", _as_letter, known)


def without_marks(headers: Mapping[str, Any]) -> dict[str, Any]:
    """The headers as they were before, with the count of deaths left out."""
    return {name: value for name, value in headers.items() if name not in _MARKS.values()}


def _as_letter(fields: Mapping[str, Any]) -> Letter:
    return msgspec.convert(fields, Letter, strict=False)


def _opened(entry: bytes) -> tuple[Letter, bytes]:
    fields = msgspec.json.decode(entry)
    if not isinstance(fields, dict):
        raise MalformedError("a dead letter is an object")
    return msgspec.convert(fields, Letter), base64.b64decode(fields["raw"], validate=True)
