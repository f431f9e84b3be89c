"""Tasks: the task queues of this daemon, through a ``TaskSource``."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any

from workerd.backends.url import shown
from workerd.bootsteps import StartStopStep
from workerd.config.pools import order_without_effect
from workerd.source import Owner, open_source
from workerd.transport.amqp_refusals import reaching
from workerd.worker.consumer.task_consumer import TaskConsumer

if TYPE_CHECKING:
    from workerd.worker.consumer.consumer import Consumer

logger = logging.getLogger(__name__)


class Tasks(StartStopStep):
    """Opens ``c.task_source``, with ``c.task_consumer`` in front of it.

    Fetching begins with the event loop step, when all stand.
    """

    label = "Tasks"
    requires = ("Connection",)

    def __init__(self, c: Consumer, **options: Any) -> None:
        c.task_source = c.task_consumer = None
        self._told_order = False

    def start(self, c: Consumer) -> None:
        if c.task_source is not None:
            return
        identity, config = c.controller.identity, c.controller.config
        pools = config.all_pools().items()
        source = open_source(
            c.connection,
            c.hub,
            owner=Owner(
                identity.owner, identity.predecessors, config.lease, c.controller.dispatcher.deaths.count_of
            ),
            clock=c.controller.clock,
            zone=c.app.daemon_zone(),
            strict=[name for name, pool in pools if pool.queue_order == "strict"],
        )
        if source.survives_link:
            identity.record()  # first: what raises here leaves nothing behind
        elif not self._told_order and (told := order_without_effect(config.all_pools())):
            self._told_order = True
            logger.warning("%s", told)
        c.task_source, c.task_consumer = source, TaskConsumer(c, source)
        dispatcher = c.controller.dispatcher
        on_lost = partial(c.link_lost, c.link.generation)
        try:
            with c.controller.inbox.interruptible(), reaching(shown(c.brokers.url)):
                c.task_queues.declare(c.connection, c.broadcast)
                groups = {name: lane.queues for name, lane in dispatcher.lanes.items()}
                source.start(
                    groups,
                    c.task_consumer.take,
                    on_lost,
                    dispatcher.table.tags,
                    dispatcher.takeovers.on_gone,
                )
        except BaseException:
            self.stop(c)
            raise
        if source.survives_link:
            identity.recovered()

    def drain(self, c: Consumer) -> None:
        """What steps have in hand goes back, as what waits here does."""
        if c.task_consumer is not None:
            c.task_consumer.return_all()

    def stop(self, c: Consumer) -> None:
        source, c.task_source = c.task_source, None
        consumer, c.task_consumer = c.task_consumer, None
        if consumer is not None:
            consumer.leave()
        if source is not None:
            with c.farewell():
                source.close()

    def shutdown(self, c: Consumer) -> None:
        self.stop(c)
