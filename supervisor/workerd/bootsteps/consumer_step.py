"""ConsumerStep: a step of the consumer that consumes messages of its own, with kombu's ``Consumer``.

Each connection gets a new channel, so ``get_consumers`` runs again after every reconnect.  A consumer is
cancelled when the daemon begins to drain, and its channel closed when the connection ends: what it has in
hand can be acknowledged until then, and goes back to its queue after that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar

from workerd.bootsteps.steps import StartStopStep


class ConsumerStep(StartStopStep):
    """A step that consumes messages of its own; override ``get_consumers``.

    It is asked for them anew over each connection.  They are cancelled when the daemon begins to drain; what
    they have in hand can be acknowledged until the connection ends.
    """

    requires: ClassVar[Iterable[Any]] = ("Connection",)
    consumers: Iterable[Any] | None = None

    def get_consumers(self, channel: Any) -> Iterable[Any] | None:
        """Return the ``kombu.Consumer`` objects to start on ``channel``."""
        raise NotImplementedError("missing get_consumers")

    def start(self, c: Any) -> None:
        """Consume over a channel of its own; over a connection that only ends a drain, nothing."""
        self._leave(c, cancel=True)
        if getattr(c, "draining", False):
            return
        channel = c.connection.channel()
        try:
            self.consumers = _checked(self.get_consumers(channel))
            for consumer in self.consumers:
                consumer.consume()
        except BaseException:
            self._leave(c, cancel=True)
            with _farewell(c):
                _quietly(channel.close, _link_errors(c))
            raise

    def drain(self, c: Any) -> None:
        """Take no more; the channel stays open for what has come."""
        with _farewell(c):
            for consumer in self.consumers or ():
                _quietly(consumer.cancel, _link_errors(c))

    def stop(self, c: Any) -> None:
        """Cancel, and close the channel."""
        self._leave(c, cancel=True)

    def shutdown(self, c: Any) -> None:
        """Close the channels; the connection goes away with them, so nothing is cancelled."""
        self._leave(c, cancel=False)

    def _leave(self, c: Any, *, cancel: bool) -> None:
        # Cleared first: stop and shutdown both come at the end, and either may come twice.
        consumers, self.consumers = self.consumers, None
        gone = _link_errors(c)
        channels: list[Any] = []
        with _farewell(c):
            for consumer in consumers or ():
                if cancel:
                    _quietly(consumer.cancel, gone)
                if consumer.channel is not None and consumer.channel not in channels:
                    channels.append(consumer.channel)
            for channel in channels:
                _quietly(channel.close, gone)


def _checked(found: Any) -> list[Any]:
    """What ``get_consumers`` has returned, as a list.  Errors: TypeError for what consumes nothing."""
    if hasattr(found, "consume"):
        raise TypeError(f"get_consumers is to return a list of consumers, not {found!r}")
    consumers = list(found or ())
    for consumer in consumers:
        if not hasattr(consumer, "consume"):
            raise TypeError(f"get_consumers is to return kombu.Consumer objects, not {consumer!r}")
    return consumers


def _farewell(c: Any) -> AbstractContextManager[Any]:
    """What bounds the time that a broker has for its last answers."""
    farewell: Callable[[], AbstractContextManager[Any]] = getattr(c, "farewell", nullcontext)
    return farewell()


def _link_errors(c: Any) -> tuple[type[BaseException], ...]:
    connection = getattr(c, "connection", None)
    return (
        OSError,
        *getattr(connection, "connection_errors", ()),
        *getattr(connection, "channel_errors", ()),
    )


def _quietly(call: Callable[[], Any], errors: tuple[type[BaseException], ...]) -> None:
    try:
        call()
    except errors:
        return  # the link is gone, and with it what this call would have undone
