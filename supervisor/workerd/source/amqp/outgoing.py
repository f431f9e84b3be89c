"""What leaves for another queue, and by which way."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from amqp.basic_message import Message

Declare = Callable[[Any, str], object]
"""Makes sure that a queue exists, given the connection and the queue's name."""


class Route(msgspec.Struct, frozen=True):
    """Another way than the default exchange to the queue.

    Nothing is declared for it, and a message that takes it is not published again when the broker does not
    confirm it, or does not know where to: ``refused`` is told.
    """

    exchange: str
    key: str
    refused: Callable[[], object]
    mandatory: bool = True
    """Told when the message reaches no queue; what is for whoever listens need not reach anybody."""


class Copy(msgspec.Struct, eq=False):
    """One message; ``then`` is told once the broker has it for good."""

    queue: str
    declare: Declare
    message: Message
    then: Callable[[], object]
    route: Route | None = None
    returned: bool = False

    @property
    def where(self) -> tuple[str, str]:
        """Exchange and routing key."""
        return ("", self.queue) if self.route is None else (self.route.exchange, self.route.key)

    @property
    def mandatory(self) -> bool:
        """The broker tells when it reaches no queue."""
        return self.route is None or self.route.mandatory

    def is_for(self, queue: str) -> bool:
        """True when it goes straight to ``queue``."""
        return self.route is None and self.queue == queue
