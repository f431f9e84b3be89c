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
from workerd.worker.life.stop_time import Part

if TYPE_CHECKING:
    from workerd.worker.consumer.consumer import Consumer

logger = logging.getLogger(__name__)

FAREWELL = 2.0
"""Seconds that a broker has to answer the end of its channels."""


class Tasks(StartStopStep):
    """Opens ``c.task_consumer``; fetching begins with the event loop step, when all stand."""

    label = "Tasks"
    requires = ("Connection",)

    def __init__(self, c: Consumer, **options: Any) -> None:
        c.task_consumer = None
        self._told_order = False

    def start(self, c: Consumer) -> None:
        if c.task_consumer is not None:
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
        c.task_consumer = source
        dispatcher = c.controller.dispatcher
        on_lost = partial(c.link_lost, c.link.generation)
        try:
            with c.controller.inbox.interruptible(), reaching(shown(c.brokers.url)):
                c.task_queues.declare(c.connection)
                groups = {name: lane.queues for name, lane in dispatcher.lanes.items()}
                source.start(
                    groups,
                    dispatcher.on_deliveries,
                    on_lost,
                    dispatcher.table.tags,
                    dispatcher.takeovers.on_gone,
                )
        except BaseException:
            self.stop(c)
            raise
        if source.survives_link:
            identity.recovered()

    def stop(self, c: Consumer) -> None:
        source, c.task_consumer = c.task_consumer, None
        if source is not None:
            with c.controller.inbox.bounded(c.controller.stop_time.left(FAREWELL, Part.LINK)):
                source.close()

    def shutdown(self, c: Consumer) -> None:
        self.stop(c)
