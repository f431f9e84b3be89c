"""Events that an app sends itself: that it has sent a task, and those of tasks that run in no worker.

They are best effort: what cannot be sent is logged, and the caller goes on.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from kombu import entity
from kombu.exceptions import KombuError

from workerd.errors import WorkerdError
from workerd.protocol.event import encoded, key_of, make_event
from workerd.protocol.outgoing import origin
from workerd.protocol.parcel import Parcel
from workerd.transport.kinds import kind_of

if TYPE_CHECKING:
    from workerd.app.sending.broker import Broker
    from workerd.app.settings.conf import Conf
    from workerd.clock import LogicalClock

logger = logging.getLogger("workerd.publish")

_Exchange: Any = entity.Exchange  # kombu has no types


class Events:
    """Publishes events over the app's pooled connections."""

    def __init__(self, conf: Conf, broker: Broker, clock: LogicalClock) -> None:
        self._conf, self._broker, self._clock = conf, broker, clock

    def send(self, kind: str, fields: dict[str, Any], producer: Any = None) -> None:
        """Send one event of this process."""
        hostname = origin()
        event = make_event(kind, hostname, self._clock.forward(), fields)
        try:
            content_type, encoding, body = encoded(event, self._conf.event_serializer)
            with self._broker.reaching(), self._broker.producer(producer) as one:
                exchange = self._exchange(one)
                one.publish(
                    body,
                    exchange=exchange.name,
                    routing_key=key_of(kind),
                    declare=[exchange],
                    headers={"hostname": hostname},
                    content_type=content_type,
                    content_encoding=encoding,
                    delivery_mode=1,
                )
        except (WorkerdError, KombuError) as exc:
            logger.warning("event %s is not sent: %s", kind, exc)

    def task_sent(self, parcel: Parcel, queue: str | None, producer: Any) -> None:
        """A call has been sent."""
        headers = parcel.headers
        fields = {
            "uuid": headers["id"],
            "root_id": headers["root_id"],
            "parent_id": headers["parent_id"],
            "name": headers["task"],
            "args": headers["argsrepr"],
            "kwargs": headers["kwargsrepr"],
            "retries": headers["retries"],
            "eta": headers["eta"],
            "expires": headers["expires"],
            "queue": queue,
            "exchange": parcel.exchange,
            "routing_key": parcel.routing_key,
        }
        self.send("task-sent", fields, producer)

    def _exchange(self, producer: Any) -> Any:
        # Redis has no topics; there every listener gets what its pattern matches.
        kind = "fanout" if kind_of(producer.connection) == "redis" else "topic"
        return _Exchange(self._conf.event_exchange, type=kind)
