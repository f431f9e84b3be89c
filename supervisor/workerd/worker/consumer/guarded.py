"""Transports on whose channels no consumer can break the link that calls it.

The callbacks of kombu's consumers are called from inside the reading of the connection: what one raises (a
ValueError of its own, a ConnectionError of some other server) would be taken for the loss of the broker's
link, and what has come behind its message would wait.  Here it is logged under the callback's name and goes
no further.  The message is neither acknowledged nor lost: it comes again over the next connection.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache
from typing import Any

from kombu.messaging import Consumer

from workerd.worker.loop.naming import callback_name

logger = logging.getLogger(__name__)


class Guard:
    """Calls ``callback``; errors end here, a SystemExit does not."""

    def __init__(self, callback: Callable[[Any], Any]) -> None:
        self.__wrapped__ = callback

    def __call__(self, message: Any) -> None:
        try:
            self.__wrapped__(message)
        except Exception as exc:
            logger.error("Error in %s: %r", self.names, exc, exc_info=True)

    @property
    def names(self) -> str:
        """Of the functions that a consumer calls, rather than of kombu's that calls them."""
        consumer: Any = getattr(self.__wrapped__, "__self__", None)
        if not isinstance(consumer, Consumer):
            return callback_name(self.__wrapped__)
        called = [consumer.on_message] if consumer.on_message else consumer.callbacks
        return ", ".join(map(callback_name, called or [self.__wrapped__]))


class GuardedChannel:
    """Goes before a channel class of kombu's."""

    def basic_consume(self, *args: Any, callback: Callable[[Any], Any] | None = None, **options: Any) -> Any:
        """As the channel's own."""
        guard = None if callback is None else Guard(callback)
        return super().basic_consume(*args, callback=guard, **options)  # type: ignore[misc]


@cache
def guarded(transport: type[Any]) -> type[Any]:
    """``transport``, a class of kombu's, with guarded channels."""
    # Of AMQP the channels are made by py-amqp's connection, of all others by the transport.
    owner = getattr(transport, "Connection", None)
    if owner is not None and hasattr(owner, "Channel"):
        return _derived(transport, Connection=_derived(owner, Channel=_with_guard(owner.Channel)))
    return _derived(transport, Channel=_with_guard(transport.Channel))


def _with_guard(channel: type[Any]) -> type[Any]:
    return type(channel.__name__, (GuardedChannel, channel), {"__module__": channel.__module__})


def _derived(base: type[Any], **attributes: Any) -> type[Any]:
    return type(base.__name__, (base,), {"__module__": base.__module__, **attributes})
