"""Messages that wait in the broker for their ETA, as an operator's command sees them.

Everything here waits for the broker; no daemon is needed, and one that runs is not disturbed.

Units:  Unix time.
Errors: those of the broker's library; ConfigError for a broker without task queues.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Protocol

import msgspec

from workerd.errors import ConfigError
from workerd.transport.kinds import kind_of

if TYPE_CHECKING:
    from kombu.connection import Connection

    from workerd.protocol.message import Message


class Waiting(msgspec.Struct, frozen=True, eq=False):
    """One message; ``message`` is None when it cannot be read."""

    queue: str
    due: float
    raw: bytes
    message: Message | None


class DelayedMessages(Protocol):
    """The messages that wait at one broker."""

    listed: bool
    """True where the broker tells which messages wait (Redis), and where they wait for a daemon."""

    def counts(self) -> Mapping[str, int]:
        """How many wait: for each queue, or, where those cannot be told apart, in each delay queue."""

    def scan(self) -> Iterator[Waiting]:
        """What waits, the next to be due first; nothing where the broker does not tell."""

    def nodes(self) -> list[str]:
        """The daemons that are up, as far as the broker knows them."""

    def flush(self) -> int:
        """Send all of them to their queues now; return how many.  They keep their ETA.

        Errors: WorkerdError when some cannot be sent, and stay."""

    def close(self) -> None:
        """Leave the broker."""


def open_delayed(connection: Connection) -> DelayedMessages:
    """Those of the broker of ``connection``, which is not used for them in the case of Redis."""
    kind = kind_of(connection)
    # One broker's library need not be imported for the other's sake.
    if kind == "redis":
        from workerd.source.redis.delayed_messages import RedisDelayedMessages  # noqa: PLC0415
        from workerd.source.redis.keys import Keys  # noqa: PLC0415
        from workerd.transport.address import address_of_connection  # noqa: PLC0415

        keys = Keys.of_options(connection.transport_options or {})
        return RedisDelayedMessages(address_of_connection(connection), keys)
    if kind == "amqp":
        from workerd.source.amqp.delayed_messages import AmqpDelayedMessages  # noqa: PLC0415

        return AmqpDelayedMessages(connection)
    raise ConfigError(f"task queues over {kind!r} are not supported", "use a redis:// or amqp:// broker")
