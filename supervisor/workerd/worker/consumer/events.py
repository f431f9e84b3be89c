"""Events: tell the cluster what happens to this node and, while somebody wants to know, to its tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workerd.bootsteps import StartStopStep
from workerd.broadcast import Exchange
from workerd.events.dispatcher import TASK, EventDispatcher
from workerd.events.tasks import TaskEvents

if TYPE_CHECKING:
    from workerd.worker.consumer.consumer import Consumer


class Events(StartStopStep):
    """Puts ``c.event_dispatcher`` there, which outlives the links over which it sends."""

    label = "Events"
    requires = ("Connection",)

    def __init__(self, c: Consumer, **options: Any) -> None:
        conf, self._desk = c.app.conf, c.controller.dispatcher
        self._exchange = Exchange(conf.event_exchange, "topic", durable=True)
        self.dispatcher = c.event_dispatcher = EventDispatcher(
            c.hostname, c.app.clock, exchange=conf.event_exchange, serializer=conf.event_serializer
        )
        self.dispatcher.on_groups = self._groups_changed
        if c.controller.config.cluster.events:
            self.dispatcher.add_group(TASK)

    def _groups_changed(self) -> None:
        """While nobody wants events of tasks, none are made."""
        desk = self._desk
        wanted = self.dispatcher.wants(TASK)
        desk.tell(TaskEvents(self.dispatcher) if wanted else None)

    def start(self, c: Consumer) -> None:
        if c.broadcast is not None and not self.dispatcher.enabled:
            c.broadcast.declare(self._exchange)
            self.dispatcher.enable(c.broadcast, c.hub.call_soon)

    def stop(self, c: Consumer) -> None:
        self.dispatcher.disable()

    def shutdown(self, c: Consumer) -> None:
        self.stop(c)
