"""Dead queues as an operator's command sees them: read, sent anew, purged, over a connection of their own.

Everything here waits for the broker; no daemon is needed, and one that runs is not disturbed.

Errors: those of the broker's library; ConfigError for a broker without task queues.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from workerd.errors import ConfigError
from workerd.protocol.dead import Letter
from workerd.transport.kinds import kind_of

if TYPE_CHECKING:
    from kombu.connection import Connection

    from workerd.protocol.message import Message

TIMEOUT = 5.0
"""Seconds to wait for each answer of the broker."""


class DeadLetter(msgspec.Struct, frozen=True, eq=False):
    """One message that was put aside, with its letter.

    ``raw`` is the message as the broker keeps it: on Redis its envelope, on RabbitMQ its body, to which the
    ``headers`` belong.  ``message`` is None when it cannot be read.
    """

    letter: Letter
    queue: str
    """The queue whose dead queue it is in."""
    raw: bytes
    headers: Mapping[str, Any]
    message: Message | None

    @property
    def key(self) -> str:
        """What no other dead letter is called."""
        if self.letter.id:
            return self.letter.id
        return blake2b(self.raw + repr(self.letter).encode(), digest_size=6).hexdigest()

    @property
    def id(self) -> str:
        """The task's id where it can be read, else the key."""
        return self.message.id if self.message is not None else self.key


Wanted = Callable[[DeadLetter], bool]


class DeadQueues(Protocol):
    """The dead queues of one broker; a queue is named without its ``.dead``."""

    def names(self) -> set[str]:
        """The queues for which the broker can tell that there are dead letters."""

    def count(self, queue: str) -> int:
        """How many dead letters ``queue`` has."""

    def scan(self, queue: str) -> Iterator[DeadLetter]:
        """The dead letters of ``queue``, the oldest first; all of them stay, in their order.

        Read it to its end, or close it.
        """

    def requeue(self, queue: str, wanted: Wanted) -> Iterator[DeadLetter]:
        """Send those that are ``wanted`` to the queue that they came from, as new messages; yield each that
        is on its way.  Of one that is not confirmed, both may be there afterwards, never neither."""

    def purge(self, queue: str) -> int:
        """Delete the dead letters of ``queue``; return how many there were."""

    def close(self) -> None:
        """Leave the broker."""


def open_dead_queues(connection: Connection) -> DeadQueues:
    """Those of the broker of ``connection``, which is not used for them in the case of Redis."""
    kind = kind_of(connection)
    # One broker's library need not be imported for the other's sake.
    if kind == "redis":
        from workerd.source.redis.dead_queues import RedisDeadQueues  # noqa: PLC0415
        from workerd.source.redis.keys import Keys  # noqa: PLC0415
        from workerd.transport.address import address_of_connection  # noqa: PLC0415

        keys = Keys.of_options(connection.transport_options or {})
        return RedisDeadQueues(address_of_connection(connection), keys)
    if kind == "amqp":
        from workerd.source.amqp.dead_queues import AmqpDeadQueues  # noqa: PLC0415

        return AmqpDeadQueues(connection)
    raise ConfigError(f"task queues over {kind!r} are not supported", "use a redis:// or amqp:// broker")
