"""Mingle: exchange revoked ids and logical clocks with the other nodes, over each new link.

Nobody is waited for: tasks are run meanwhile, and answers are taken for ``PATIENCE`` seconds.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from workerd.bootsteps import StartStopStep
from workerd.broadcast import Exchange
from workerd.control.remote.greeting import Greeting
from workerd.worker.consumer.remote import manner_of, policy_of
from workerd.worker.life.stop_time import Part

if TYPE_CHECKING:
    from workerd.worker.consumer.consumer import Consumer

logger = logging.getLogger(__name__)

PATIENCE = 3.0

FAREWELL = 2.0
"""How long a broker may take to end the listening."""


class Mingle(StartStopStep):
    """Absent with ``cluster.mingle = false``."""

    label = "Mingle"
    requires = ("Events",)
    conditional = True

    def __init__(self, c: Consumer, **options: Any) -> None:
        self.enabled = c.controller.config.cluster.mingle
        self._policy, self._manner = policy_of(c), manner_of(c)
        self._end: Callable[[], None] | None = None
        self._timer: Any = None

    def start(self, c: Consumer) -> None:
        if c.broadcast is None or self._timer is not None:
            return
        greeting = Greeting(c.controller.desk.node, self._policy, self._manner, c.controller.clock)
        for exchange in (
            Exchange(self._manner.exchange, "fanout"),
            Exchange(self._manner.reply_exchange, "direct"),
        ):
            c.broadcast.declare(exchange)
        self._end = c.broadcast.listen(greeting.station(c.app.conf.control_queue_expires), greeting.heard)
        c.broadcast.tell(greeting.notice(PATIENCE))
        self._timer = c.timer.call_after(PATIENCE, partial(self._over, greeting))

    def _over(self, greeting: Greeting) -> None:
        self._timer, end, self._end = None, self._end, None
        if end is not None:
            end()
        if greeting.answered:
            count = len(greeting.answered)
            nodes = "node" if count == 1 else "nodes"
            logger.info("mingle: sync with %d %s: %s", count, nodes, ", ".join(sorted(greeting.answered)))
        else:
            logger.info("mingle: all alone")

    def stop(self, c: Consumer) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, end, self._end = None, self._end, None
        if end is not None and not c.lost:
            with c.controller.inbox.bounded(c.controller.stop_time.left(FAREWELL, Part.LINK)):
                end()

    def shutdown(self, c: Consumer) -> None:
        self.stop(c)
