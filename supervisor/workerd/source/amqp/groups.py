"""The groups of one link: which one a queue or a delivery belongs to, and what all of them hold together.

Errors: py-amqp's, for a link that is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from workerd.source.amqp.channel import TaskChannel
from workerd.source.amqp.group import Group
from workerd.source.amqp.queues import declare_task_queue, knows_shared_limits

if TYPE_CHECKING:
    from kombu.connection import Connection

    from workerd.clock import Clock
    from workerd.source.amqp.held import Held
    from workerd.source.amqp.intake import Intake
    from workerd.source.base import Delivery


class Groups:
    """``ask`` asks for a round; ``on_cancelled`` hears of queues whose consumer the broker has ended,
    ``on_declared`` of those that are there now, and whether they are certainly classic queues."""

    def __init__(
        self,
        connection: Connection,
        clock: Clock,
        ask: Callable[[], object],
        on_cancelled: Callable[[str], object],
        on_declared: Callable[[str, bool], object],
    ) -> None:
        self._connection: Any = connection  # kombu's own types are incomplete
        self._clock, self._ask = clock, ask
        self._on_cancelled, self._on_declared = on_cancelled, on_declared
        self._groups: dict[str, Group] = {}
        self._channels: dict[str, Held] = {}  # of all groups, by name

    def __iter__(self) -> Iterator[Group]:
        return iter(list(self._groups.values()))

    def __getitem__(self, name: str) -> Group:
        """The group ``name``, made if there is none."""
        if name not in self._groups:
            self._groups[name] = Group(self._ask, self._clock, self._channels)
        return self._groups[name]

    @property
    def intakes(self) -> list[Intake]:
        """Of the groups that have a channel."""
        return [group.intake for group in self if group.intake is not None]

    @property
    def pending(self) -> int:
        """Settlements that are not written yet."""
        return sum(group.pending for group in self)

    @property
    def waiting(self) -> bool:
        """Something has come for which there was no room."""
        return any(group.waiting for group in self)

    def open(self, name: str) -> Intake:
        """The intake of the group ``name``, over a channel that waits for the broker if it is new."""
        group = self[name]
        if group.intake is None:
            channel = TaskChannel(self._connection.connection)
            channel.open()
            group.open(
                channel,
                shared_limit=knows_shared_limits(self._connection),
                declare=self._declare,
                on_cancelled=self._on_cancelled,
            )
        assert group.intake is not None
        return group.intake

    def _declare(self, queue: str) -> bool:
        classic = declare_task_queue(self._connection, queue)
        self._on_declared(queue, classic)
        return classic

    def remove(self, queue: str) -> None:
        """Consume it no more, whichever group it is in."""
        for intake in self.intakes:
            intake.remove(queue)
        self._ask()

    def revive(self, queue: str) -> None:
        """Declare it, and consume it again."""
        for intake in self.intakes:
            intake.revive(queue)
        self._ask()

    def settle(self, deliveries: Iterable[Delivery]) -> None:
        """Acknowledge those that a channel of this link has delivered."""
        channels = self._channels
        for delivery in deliveries:
            channel, number = delivery.tag
            held = channels.get(channel)
            if held is not None and number in held.messages:
                held.acks.add(number)

    def holding(self, deliveries: Iterable[Delivery]) -> Iterator[tuple[Held, int]]:
        """Channels and numbers; what a channel of an earlier link delivered, the broker has taken back."""
        for delivery in deliveries:
            channel, number = delivery.tag
            held = self._channels.get(channel)
            if held is not None and number in held.messages:
                yield held, number

    def info(self) -> dict[str, Any]:
        """Plain values for ``status``."""
        return {
            "queues": sorted(queue for intake in self.intakes for queue in intake.queues),
            "prefetch": sum(intake.limit for intake in self.intakes),
            "in_flight": sum(group.held for group in self),
            "acknowledged": sum(group.acked for group in self),
            "ack_frames": sum(group.frames for group in self),
            "channels": sum(group.channels for group in self),
            "room": {name: group.room for name, group in self._groups.items()},
        }
