"""Copies: messages that leave for another queue, or for their own with other headers.

A nack cannot change a message, so its copy is published, and the original is acknowledged once the broker has
confirmed that.  Whoever waits for several deliveries is told when none of them is being copied any more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Set
from functools import partial
from typing import TYPE_CHECKING, Any

from workerd.source.amqp.held import Tag

if TYPE_CHECKING:
    from workerd.source.amqp.held import Held
    from workerd.source.amqp.outgoing import Declare, Route
    from workerd.source.amqp.publisher import Publisher
    from workerd.source.base import Delivery, Done

NOTHING: Set[Tag] = frozenset()


class Copies:
    """``on_copied`` is called when an original may be acknowledged."""

    def __init__(self, publisher: Publisher, on_copied: Callable[[], object]) -> None:
        self._publisher, self._on_copied = publisher, on_copied
        self._copying: set[Tag] = set()
        self._thens: list[tuple[Set[Tag], Done]] = []  # called once none of these is being copied

    def __len__(self) -> int:
        """Copies that the broker has not confirmed."""
        return len(self._copying)

    def send(
        self,
        held: Held,
        number: int,
        queue: str,
        declare: Declare,
        message: Any,
        route: Route | None = None,
    ) -> None:
        """Copy what ``held`` has under ``number`` to ``queue``, as ``message``; asked again, nothing."""
        if (held.name, number) not in self._copying:
            self._copying.add((held.name, number))
            copied = partial(self._copied, held, number)
            self._publisher.publish(queue, declare, message, copied, route)

    def forget(self, held: Held, number: int) -> bool:
        """There is no copy of this one, and nobody is told that there is; False when it was not copied."""
        tag = (held.name, number)
        if tag not in self._copying:
            return False
        self._copying.discard(tag)
        self._thens = [pair for pair in self._thens if tag not in pair[0]]
        return True

    def send_anew(self, tag: Tag, queue: str, declare: Declare, message: Any) -> None:
        """Publish what has no original at the broker."""
        if tag not in self._copying:
            self._copying.add(tag)
            self._publisher.publish(queue, declare, message, partial(self._sent, tag))

    def after(self, deliveries: Iterable[Delivery], then: Done) -> None:
        """``tell`` calls ``then`` once none of ``deliveries`` is being copied."""
        waits_for = self._copying.intersection([d.tag for d in deliveries]) if self._copying else NOTHING
        self._thens.append((waits_for, then))

    def tell(self) -> None:
        """What had to be written before has been written."""
        due, self._thens = self._thens, []
        if self._copying:  # which is rare
            self._thens = [pair for pair in due if not pair[0].isdisjoint(self._copying)]
            due = [pair for pair in due if pair[0].isdisjoint(self._copying)]
        for _, then in due:
            then()

    def _copied(self, held: Held, number: int) -> None:
        held.acks.add(number)
        self._sent((held.name, number))

    def _sent(self, tag: Tag) -> None:
        self._copying.discard(tag)
        self._on_copied()
