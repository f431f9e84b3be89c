"""A message that has come past py-amqp: one of its own, whose properties are read when somebody asks."""

from __future__ import annotations

from typing import Any

from amqp.basic_message import Message

from workerd.source.amqp.header_frames import properties_of


class Arrival(Message):  # type: ignore[misc]  # py-amqp has no types
    """``content`` is what its header frame holds: class, weight, length of the body, then the properties."""

    __slots__ = (
        "_properties",
        "channel_id",
        "consumer_tag",
        "content",
        "delivery_tag",
        "exchange",
        "redelivered",
        "routing_key",
    )

    def __init__(
        self, channel_id: int, delivery: tuple[str, int, bool, str, str], content: bytes, body: bytes
    ) -> None:
        # Not py-amqp's own, which fills in a dozen fields that nobody needs here.
        self.channel_id = channel_id
        self.consumer_tag, self.delivery_tag, self.redelivered, self.exchange, self.routing_key = delivery
        self.content = content
        self.body = body  # type: ignore[misc]  # its place is py-amqp's
        self._properties: dict[str, Any] | None = None

    @property
    def properties(self) -> dict[str, Any]:
        """As py-amqp reads them; see ``header_frames`` for those that it cannot read."""
        if self._properties is None:
            self._properties = properties_of(self.content)
        return self._properties

    @property
    def delivery_info(self) -> dict[str, Any]:
        """As py-amqp's channel sets it."""
        names = ("consumer_tag", "delivery_tag", "redelivered", "exchange", "routing_key")
        return {name: getattr(self, name) for name in names}
