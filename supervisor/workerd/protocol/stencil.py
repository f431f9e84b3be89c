"""Messages of one kind, written once: what calls with the same options share, with places for the rest.

A stencil is cut from a message that was made the long way, so it writes what that writes, byte for byte.  To
fill it is one formatting of bytes; the long way makes two dozen headers and encodes each of them.  What it
is cut to is the outlets' affair: see ``redis_stencil`` and ``amqp_stencil``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from workerd.protocol.parcel import Parcel

HEADERS = ("id", "eta", "group", "group_index", "root_id", "parent_id", "argsrepr", "kwargsrepr")
"""Headers that differ from call to call, in their order on the wire."""

PLACES = len(HEADERS) + 2
"""Marks that a stencil needs: for these, the reply address and the delivery tag."""


class Filling(NamedTuple):
    """What is one call's own; the first eight are its headers."""

    id: str
    eta: str | None
    group: str | None
    group_index: int | str | None
    root_id: str
    parent_id: str | None
    argsrepr: str
    kwargsrepr: str
    reply_to: str
    body: bytes


class Stencil:
    """The message that ``parcel`` is, without what is a call's own; it is plain and does not expire.

    ``marks`` are texts that are nowhere in it.
    """

    def __init__(self, parcel: Parcel, marks: Sequence[str]) -> None:
        *headers, reply_to, self.tag = marks
        self.marks = Filling(*headers, reply_to, reply_to.encode())  # type: ignore[arg-type, call-arg]
        self.forms: dict[object, Any] = {}
        """What it is cut to, by a key of who has done that."""
        self._parcel = parcel
        self.exchange, self.routing_key, self.priority = parcel.exchange, parcel.routing_key, parcel.priority

    def parcel(self, filling: Filling) -> Parcel:
        """The whole message, for who does not write bytes."""
        own = dict(zip(HEADERS, filling, strict=False))
        return msgspec.structs.replace(
            self._parcel,
            headers={**self._parcel.headers, **own},
            correlation_id=filling.id,
            reply_to=filling.reply_to,
            body=filling.body,
        )


class Filled(NamedTuple):
    """One message of a stencil."""

    stencil: Stencil
    filling: Filling


def cut(data: bytes, marks: Iterable[bytes]) -> bytes:
    """``data`` as a format, with ``%b`` where each of ``marks`` was; they come in their order.

    Raises ValueError when one does not.
    """
    parts = []
    for mark in marks:
        before, found, data = data.partition(mark)
        if not found:
            raise ValueError(f"{mark!r} is not there, or not in its turn")
        parts.append(before)
    return b"%b".join(part.replace(b"%", b"%%") for part in (*parts, data))
