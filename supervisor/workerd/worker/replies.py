"""Results as messages to their callers: over the broker that the daemon consumes from at the moment.

Units:   seconds.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from workerd.backends.writer import ResultWriter
from workerd.errors import ConfigError
from workerd.transport.kinds import kind_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from workerd.backends.base import BackendOptions
    from workerd.transport.loop import Cancelable, Loop
    from workerd.worker.controller import WorkController

AGAIN = 1.0
"""Until a broker that has not answered is asked again, over the link that there is by then."""


class BrokerReplies:
    """What ``rpc://`` needs of the daemon."""

    def __init__(self, worker: WorkController) -> None:
        self._worker = worker

    def writer(self, loop: Loop, options: BackendOptions) -> ResultWriter:
        """A writer over the broker.  Raises ConfigError for a broker without one."""
        connection = self.clone()
        # One broker's library need not be imported for the other's sake.
        match kind := kind_of(connection):
            case "redis":
                from workerd.backends.rpc.redis_writer import RedisReplyWriter  # noqa: PLC0415
                from workerd.source.redis.keys import Keys  # noqa: PLC0415
                from workerd.transport.address import address_of_connection  # noqa: PLC0415

                keys = Keys.of_options(connection.transport_options or {})
                return RedisReplyWriter(lambda: address_of_connection(self.clone()), keys, loop, options)
            case "amqp":
                from workerd.backends.rpc.amqp_writer import AmqpReplyWriter  # noqa: PLC0415
                from workerd.source.amqp.publisher import Publisher  # noqa: PLC0415

                brokers: Any = self
                pulse = BrokerPulse(self._worker, loop)
                return AmqpReplyWriter(Publisher(brokers, loop, pulse.ask, "Results"), loop, options)
        raise ConfigError(f"result backend rpc:// over {kind!r} is not supported", "use redis:// or amqp://")

    def clone(self) -> Any:
        """A new connection, not connected yet, to the broker in use or that is tried next."""
        consumer = getattr(self._worker, "consumer", None)
        url = consumer.brokers.url if consumer is not None else self._worker.broker_urls[0]
        return self._worker.app.connection_for_read(url)


class BrokerPulse:
    """Tells when the broker has answered something over the consumer's link, whichever that is by then."""

    def __init__(self, worker: WorkController, loop: Loop) -> None:
        self._worker, self._loop = worker, loop
        self._then: Callable[[], None] | None = None
        self._timer: Cancelable | None = None
        self._pulse: Any = None
        self._asked: Any = None  # the link that the pulse is of

    def ask(self, then: Callable[[], None]) -> None:
        """Call ``then`` in the loop once it has."""
        self._then = then
        if self._timer is None:
            self._ask()

    def _ask(self) -> None:
        from workerd.source.amqp.link import LINK_ERRORS  # noqa: PLC0415 (only with such a broker)
        from workerd.source.amqp.pulse import Pulse  # noqa: PLC0415

        self._timer = None
        if self._then is None:
            return
        connection: Any = getattr(getattr(self._worker, "consumer", None), "connection", None)
        if connection is not None and connection.connected:
            with suppress(*LINK_ERRORS):  # it is told by the consumer
                if connection.connection is not self._asked:
                    self._asked, self._pulse = connection.connection, Pulse(connection.connection)
                self._pulse.ask(partial(self._loop.call_soon, self._answered))
        self._timer = self._loop.call_later(AGAIN, self._ask)

    def _answered(self) -> None:
        then, self._then = self._then, None
        if then is not None:
            then()
