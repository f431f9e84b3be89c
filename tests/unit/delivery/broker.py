"""What a broker knows of messages, in few words: those that were sent, and one link to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.unit.delivery.fakes import FakeSource
from workerd.source.base import Delivery


@dataclass
class Sent:
    """One message; a retry has the id of another."""

    number: int
    task_id: str
    task: str
    retries: int
    runs: int = 0
    ended: int = 0
    cut_off: int = 0
    """Runs that their child's death has ended."""

    @property
    def publisher_tag(self) -> str:
        return f"p{self.number}"


@dataclass
class Broker(FakeSource):
    """One link; what it is told reaches the broker when the history says so.

    Redis confirms what it has heard; on AMQP what is written counts as done, whether or not it arrives.
    """

    told: list[tuple[str, Any, Callable[[], None]]] = field(default_factory=list)

    def settle(self, deliveries: Sequence[Delivery], then: Callable[[], None] | None = None) -> None:
        self._tell("settle", deliveries, then)

    def give_back(self, deliveries: Sequence[Delivery], then: Callable[[], None] | None = None) -> None:
        self._tell("give back", deliveries, then)

    def put_aside(self, delivery: Delivery, letter: Any, then: Callable[[], None] | None = None) -> None:
        self.told.append(("put aside", delivery.tag, then or _nothing))

    def _tell(self, word: str, deliveries: Sequence[Delivery], then: Callable[[], None] | None) -> None:
        [one] = deliveries
        confirmed = then or _nothing
        self.told.append((word, one.tag, confirmed if self.survives_link else _nothing))
        if not self.survives_link:
            confirmed()


def _nothing() -> None:
    pass
