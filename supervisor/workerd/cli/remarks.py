"""What an operator should know of RabbitMQ together with this app and these settings; none is an error."""

from __future__ import annotations

from collections.abc import Iterator

from kombu.entity import Queue

from workerd.app import App
from workerd.config import Config
from workerd.config.pools import order_without_effect


def remarks(app: App, config: Config) -> Iterator[str]:
    """One text for each, the settings' first."""
    if told := order_without_effect(config.all_pools()):
        yield told
    if names := [queue.name for queue in app.conf.task_queues or () if _drops(queue)]:
        yield f"declared as quorum queues without x-dead-letter-exchange: {', '.join(names)}"


def _drops(queue: str | Queue) -> bool:
    """A quorum queue, as the app declares it, that has nowhere to put what has passed its delivery limit."""
    arguments = getattr(queue, "queue_arguments", None) or {}
    return arguments.get("x-queue-type") == "quorum" and "x-dead-letter-exchange" not in arguments
