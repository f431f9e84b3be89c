"""Heart: says again and again that this node is there; absent with ``cluster.heartbeat = 0``.

Units:  seconds.
"""

from __future__ import annotations

import os
import platform
from typing import TYPE_CHECKING, Any

import workerd
from workerd.bootsteps import StartStopStep
from workerd.delivery import Stage
from workerd.signals import heartbeat_sent

if TYPE_CHECKING:
    from workerd.worker.consumer.consumer import Consumer

SOFTWARE: dict[str, Any] = {"sw_ident": "workerd", "sw_ver": workerd.__version__, "sw_sys": platform.system()}


class Heart(StartStopStep):
    """``c.heart``; sends worker-online, worker-heartbeat every ``interval``, and worker-offline."""

    label = "Heart"
    requires = ("Events",)
    conditional = True

    def __init__(self, c: Consumer, **options: Any) -> None:
        self.interval = c.controller.config.cluster.heartbeat
        self.enabled = self.interval > 0
        self._timer: Any = None
        c.heart = self if self.enabled else None

    def start(self, c: Consumer) -> None:
        if self._timer is None and c.event_dispatcher.enabled:
            self._send(c, "worker-online")
            self._timer = c.timer.call_repeatedly(self.interval, self.beat, (c,))

    def stop(self, c: Consumer) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._send(c, "worker-offline")

    def shutdown(self, c: Consumer) -> None:
        self.stop(c)

    def beat(self, c: Consumer) -> None:
        """Say so now."""
        self._send(c, "worker-heartbeat")

    def _send(self, c: Consumer, kind: str) -> None:
        dispatcher = c.controller.dispatcher
        c.event_dispatcher.send(
            kind,
            freq=self.interval,
            active=len(dispatcher.table.in_stage(Stage.RUNNING)),
            processed=dispatcher.totals.started,
            loadavg=[round(load, 2) for load in os.getloadavg()],
            **SOFTWARE,
        )
        if heartbeat_sent.heard:
            heartbeat_sent.send(sender=self)
