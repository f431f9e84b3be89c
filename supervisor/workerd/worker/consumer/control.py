"""Control: remote control over the broker, through the exchange ``<control_exchange>.pidbox``.

Absent with ``control.allow = "none"``.  Requests are answered in the loop, whatever the children do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workerd.bootsteps import StartStopStep
from workerd.broadcast import Exchange, Station
from workerd.control.remote.pidbox import Pidbox
from workerd.worker.consumer.remote import manner_of, policy_of

if TYPE_CHECKING:
    from workerd.worker.consumer.consumer import Consumer


class Control(StartStopStep):
    """Consumer step behind ``workerd inspect``, ``celery inspect``, ``celery control``, and Flower."""

    label = "Control"
    requires = ("Tasks",)
    conditional = True

    def __init__(self, c: Consumer, **options: Any) -> None:
        worker, policy, self._manner = c.controller, policy_of(c), manner_of(c)
        self.enabled = not policy.deaf
        self.pidbox = Pidbox(worker.commands, worker.desk, policy, self._manner, worker.clock)

    def start(self, c: Consumer) -> None:
        if c.broadcast is None or self.pidbox.answer is not None:
            return
        c.broadcast.declare(Exchange(self._manner.reply_exchange, "direct"))
        station = Station(
            Exchange(self._manner.exchange, "fanout"),
            queue=f"{c.hostname}.{self._manner.exchange}",
            message_ttl=c.app.conf.control_queue_ttl,
            expires=c.app.conf.control_queue_expires,
        )
        self.pidbox.answer = c.broadcast.answer
        c.broadcast.listen(station, self.pidbox.heard)

    def stop(self, c: Consumer) -> None:
        self.pidbox.answer = None

    def shutdown(self, c: Consumer) -> None:
        self.stop(c)
