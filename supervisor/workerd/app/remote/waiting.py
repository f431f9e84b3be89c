"""What waits in queues at the broker: counted, and deleted.

What a worker has fetched and what waits elsewhere for its ETA is not in its queue, and is left alone.

Errors:  UnavailableError and ConfigError, as of ``app.broker``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from amqp import ChannelError, NotFound

from workerd.app.sending.queues import is_private

if TYPE_CHECKING:
    from workerd.app.base import App


class WaitingMessages:
    """The queues of one broker; a queue that is not there has nothing."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def counts(self, queues: Iterable[str]) -> Mapping[str, int]:
        """How many messages wait in each; what is fetched meanwhile may count or not."""
        return self._of_each(queues, lambda channel, name: channel.queue_declare(name, passive=True)[1])

    def purge(self, queues: Iterable[str]) -> Mapping[str, int]:
        """Delete what waits in each, for good; how many there were."""
        return self._of_each(queues, lambda channel, name: channel.queue_purge(name))

    def _of_each(self, queues: Iterable[str], act: Callable[[Any, str], int | None]) -> Mapping[str, int]:
        counts = {}
        for name in dict.fromkeys(queues):
            # A channel of its own: RabbitMQ closes it when there is no such queue.
            with self._connection.channel() as channel:
                try:
                    counts[name] = act(channel, name) or 0
                except ChannelError as exc:
                    if str(exc.reply_code) != str(NotFound.code):  # kombu's own have a text there
                        raise
                    counts[name] = 0
        return counts


@contextmanager
def waiting_messages(app: App) -> Iterator[WaitingMessages]:
    """Those of the app's broker, of the first of several that can be reached, as long as the block runs."""
    with app.broker.reaching(), app.connection_for_write() as connection:
        connection.ensure_connection(max_retries=len(app.broker.urls("broker_write_url")), interval_start=0)
        yield WaitingMessages(connection)


def shared_queues(app: App) -> set[str]:
    """The queues that a worker of this app consumes, without those that each process has for itself."""
    return {str(queue.name) for queue in app.queues if not is_private(queue)}
