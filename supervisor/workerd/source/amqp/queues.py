"""Declare task queues as Celery does, and leave those that exist as they are.

A queue that somebody has declared with other arguments (quorum, priorities) is consumed as it is.  What
it is matters for the prefetch limit: only classic queues take part in one for the whole channel, and the
broker tells a client no more about a queue than why it refuses to declare it again.
"""

from __future__ import annotations

from typing import Any

from amqp.exceptions import NotFound, PreconditionFailed

CLASSIC_ONLY = ("'x-max-priority'", "'durable'", "'auto_delete'")
"""What RabbitMQ names as the difference; quorum queues and streams cannot have these."""


def declare_task_queue(connection: Any, name: str) -> bool:
    """A durable queue behind a durable direct exchange of the same name; True if it is certainly classic."""
    with _Probe(connection) as probe:
        if probe.queue_exists(name):
            return probe.is_classic(name)
        if not probe.exchange_exists(name):
            probe.channel.exchange_declare(name, "direct", durable=True, auto_delete=False)
        probe.channel.queue_declare(name, durable=True, auto_delete=False)
        probe.channel.queue_bind(name, name, name)
        return True


def declare_dead_queue(connection: Any, name: str) -> None:
    """A durable classic queue that is reached through the default exchange."""
    with _Probe(connection) as probe:
        if not probe.queue_exists(name):
            probe.channel.queue_declare(name, durable=True, auto_delete=False)


def is_classic(connection: Any, name: str) -> bool:
    """True if the queue ``name``, which exists, is certainly a classic one."""
    with _Probe(connection) as probe:
        return probe.is_classic(name)


def knows_shared_limits(connection: Any) -> bool:
    """True if the broker of this kombu ``connection`` has a prefetch limit for a whole channel.

    RabbitMQ 4 deprecates it, and may refuse it.
    """
    if connection.qos_semantics_matches_spec:
        return False
    version = str(connection.connection.server_properties.get("version", ""))
    return not version.partition(".")[0].isdecimal() or int(version.partition(".")[0]) < 4


class _Probe:
    """A channel of its own, because asking for what does not exist closes the channel."""

    def __init__(self, connection: Any) -> None:
        self.channel = connection.channel()

    def __enter__(self) -> _Probe:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.channel.close()

    def queue_exists(self, name: str) -> bool:
        try:
            self.channel.queue_declare(name, passive=True)
        except NotFound:  # py-amqp has opened the channel again
            return False
        return True

    def is_classic(self, name: str) -> bool:
        """Judge a queue that exists; a quorum queue with other arguments may look like neither."""
        try:
            self.channel.queue_declare(name, durable=True, auto_delete=False)
        except PreconditionFailed as exc:
            return any(argument in str(exc) for argument in CLASSIC_ONLY)
        return True

    def exchange_exists(self, name: str) -> bool:
        try:
            self.channel.exchange_declare(name, "direct", passive=True)
        except NotFound:
            return False
        return True
