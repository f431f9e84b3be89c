"""``Broadcast``: what is told to all nodes and heard from them, beside the task queues.

It belongs to one consumer generation.  What is told is best effort, as it is between Celery's workers: it
may be lost when a link breaks, and is dropped while the broker takes nothing.  Nothing here waits for the
broker except to declare.

Units:  seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, Protocol

import msgspec

from workerd.protocol.serial import load

Kind = Literal["fanout", "topic", "direct"]

MOST_WAITING = 1000
"""Notices that have left and are not confirmed, or wait for a link; what is told beyond that is dropped."""


class Exchange(msgspec.Struct, frozen=True):
    """Where notices are told.  On Redis, which has no topics, ``kind`` matters only for ``direct``."""

    name: str
    kind: Kind
    durable: bool = False


class Station(msgspec.Struct, frozen=True):
    """One queue of this node alone, bound to an exchange by ``key``; it ends with the connection."""

    exchange: Exchange
    queue: str
    key: str = ""
    message_ttl: float | None = None
    expires: float | None = None


class Notice(msgspec.Struct, frozen=True):
    """One message as it leaves."""

    exchange: str
    key: str
    body: bytes
    headers: Mapping[str, Any] = msgspec.field(default_factory=dict)
    content_type: str = "application/json"
    content_encoding: str = "utf-8"
    delivery_mode: int = 1


class Heard(msgspec.Struct, frozen=True):
    """One message as it came; ``key`` is the routing key with which it was told."""

    key: str
    body: bytes
    headers: Mapping[str, Any]
    content_type: str
    content_encoding: str

    def value(self, accept: Iterable[str]) -> Any:
        """What the body says.  Errors: kombu's DecodeError and ContentDisallowed."""
        return load(self.body, self.content_type, self.content_encoding, accept)


OnHeard = Callable[[Heard], object]


class Broadcast(Protocol):
    """Listen, tell, answer."""

    dropped: int
    """Notices that were told and did not leave."""

    @property
    def hears(self) -> bool:
        """What others tell arrives; False while a link for that is on its way."""

    def declare(self, exchange: Exchange) -> None:
        """Make sure that it is there; waits for the broker where it keeps exchanges (AMQP)."""

    def listen(self, station: Station, on_heard: OnHeard) -> Callable[[], None]:
        """Call ``on_heard`` in the loop for each message from now on, until ``close``; the result ends it
        before, and may be called twice.  Answers, behind a ``direct`` exchange, are for a short time.

        What the broker refuses is told in the log and tried again; this never raises for it."""

    def keep(self, exchange: str, queue: str) -> bool:
        """Put each message to that fanout exchange into the task queue ``queue`` of this node alone, from now
        on, if the broker does not do so itself (Redis).  May be called twice."""

    def tell(self, notice: Notice) -> None:
        """Tell everybody who listens."""

    def answer(self, notice: Notice) -> None:
        """Tell the one who waits behind a direct exchange.  What nobody fetches expires."""

    def close(self, *, lost: bool = False) -> None:
        """Send what can be sent at once, and leave; ``lost``: there is nobody to send to.  May be called
        twice."""
