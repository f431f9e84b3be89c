"""event loop: the last step of a generation; from here on messages come in.

The loop itself belongs to the worker and runs on while consumer generations come and go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workerd.bootsteps import ConsumerStep, StartStopStep
from workerd.transport.kinds import kind_of

if TYPE_CHECKING:
    from workerd.worker.consumer.consumer import Consumer


class EventLoop(StartStopStep):
    """Hands every step the loop, then begins to fetch."""

    label = "event loop"
    last = True

    def __init__(self, c: Consumer, **options: Any) -> None:
        super().__init__(c, **options)

    def start(self, c: Consumer) -> None:
        c.controller.blueprint.send_all(
            c.controller, "register_with_event_loop", args=(c.controller.hub,), description="hub.register"
        )
        c.blueprint.send_all(c, "register_with_event_loop", args=(c.hub,), description="hub.register")
        custom = any(isinstance(step, ConsumerStep) for step in c.steps)
        if custom and kind_of(c.connection) != "amqp":
            # Only custom consumers need kombu's own reading.  On AMQP the task source reads for all channels.
            c.connection.transport.register_with_event_loop(c.connection.connection, c.hub)
        if c.task_source is not None:
            c.controller.dispatcher.attach(c.task_source)

    def stop(self, c: Consumer) -> None:
        c.controller.dispatcher.detach()
