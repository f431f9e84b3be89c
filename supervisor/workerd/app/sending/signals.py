"""The signals of one message that is sent: before it leaves, and once the broker has it."""

from __future__ import annotations

from typing import Any

from kombu.entity import Exchange, Queue

from workerd.app.sending.routing import Route
from workerd.protocol.outgoing import Draft
from workerd.protocol.parcel import Parcel
from workerd.signals import after_task_publish, before_task_publish, task_sent

Body = tuple[tuple[Any, ...], dict[str, Any], dict[str, Any]]


class Message:
    """A message while it is made: what a receiver changes here is sent."""

    def __init__(self, draft: Draft, priority: int, policy: dict[str, Any]) -> None:
        self.body: Body = draft.wire_body()
        self.headers = draft.wire_headers()
        self.properties = {**draft.wire_properties(), "priority": priority}
        self.policy = policy
        self.plain = not draft.headers and not draft.stamps
        """No header is anything but a text, a number or null."""

    def announce(self, route: Route, declare: Queue | Exchange | None) -> None:
        """It is about to leave."""
        if not before_task_publish.heard:
            return
        self.plain, self.policy = False, dict(self.policy)
        before_task_publish.send(
            sender=self.headers["task"],
            body=self.body,
            exchange=getattr(route.exchange, "name", route.exchange),
            routing_key=route.routing_key,
            declare=[] if declare is None else [declare],
            headers=self.headers,
            properties=self.properties,
            retry_policy=self.policy,
        )


def wanted() -> bool:
    """Somebody wants to know what has been sent."""
    return after_task_publish.heard or task_sent.heard


def tell_sent(parcel: Parcel, body: Body) -> None:
    """The broker has it."""
    headers = parcel.headers
    after_task_publish.send(
        sender=headers["task"],
        body=body,
        headers=headers,
        exchange=parcel.exchange,
        routing_key=parcel.routing_key,
    )
    args, kwargs, _ = body
    task_sent.send(
        sender=headers["task"],
        task_id=headers["id"],
        task=headers["task"],
        args=args,
        kwargs=kwargs,
        eta=headers["eta"],
        taskset=headers["group"],
    )
