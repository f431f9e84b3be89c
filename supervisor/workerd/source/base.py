"""``TaskSource``: what the consumer needs of a broker's task queues, and nothing more.

A source belongs to one consumer generation.  It never blocks and never decodes a task's body.
Deliveries come in through ``on_deliveries``; the loss of the link is told once through ``on_lost``
and never raised.

Queues come in *groups*, one for each pool.  Each group has room of its own, so a group that wants
nothing more never holds up another; all of them share the link.

The promise of every source: a message is in the broker, either waiting or in flight under our name, until
``settle``, ``park`` or ``put_aside`` has been confirmed.  ``give_back`` returns it to (or near) the head of
its queue.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

if TYPE_CHECKING:
    from workerd.protocol.dead import Letter
    from workerd.protocol.message import Message

Done = Callable[[], None]
Counted = Callable[[Mapping[str, int]], None]


class Delivery(msgspec.Struct, eq=False):
    """One message on one link.

    ``tag`` names it to its source; ``message`` is None when ``problem`` says why it cannot be read;
    ``raw`` is what the broker sent, byte for byte.  ``deaths`` is how many died while they ran it, all
    told: what is given back carries that count.
    """

    tag: Any
    queue: str
    message: Message | None
    raw: bytes
    problem: str = ""
    redelivered: bool = False
    deaths: int = 0
    came: float = 0.0
    """When it came here, by ``Clock.now``; 0 where that does not matter (Redis)."""
    adopted: bool = False
    """The broker has it no more, and the state database has: to give it back is to publish it (AMQP)."""

    until: float = 0.0
    """Where it is to be parked for another reason than its ETA: until when, as Unix time."""

    @property
    def due(self) -> float | None:
        """Until when it waits if it is parked now; None for one that has nothing to wait for."""
        return self.until or (self.message.eta if self.message is not None else None)

    @property
    def counted(self) -> bool:
        """True when a give-back has a count to write that the message does not carry yet."""
        return self.deaths > counted_in_it(self)


Deaths = Callable[[Delivery], int]
"""How many have died while they ran a message, all told."""


def counted_in_it(delivery: Delivery) -> int:
    """The deaths that a message tells of itself."""
    return delivery.message.deaths if delivery.message is not None else 0


class TaskSource(Protocol):
    """Fetch, settle, give back, wait, on_lost."""

    survives_link: bool
    """True when a tag stays ours over a reconnect (Redis), False when the broker takes it back (AMQP)."""

    @property
    def sure_until(self) -> float:
        """Until when no other node can have taken over what is held here (Redis), by ``Clock.boottime``; the
        loss of the link changes nothing about it.  Infinity where the broker takes it back then (AMQP)."""

    @property
    def pending(self) -> int:
        """Settlements, give-backs and put-asides that the broker has not confirmed yet."""

    @property
    def parked(self) -> int:
        """Messages that wait in the broker for their ETA, whoever has parked them, as was last seen."""

    def start(
        self,
        groups: Mapping[str, Sequence[str]],
        on_deliveries: Callable[[list[Delivery]], None],
        on_lost: Callable[[str], None],
        known: Collection[Any],
        on_gone: Callable[[list[Any]], None],
    ) -> None:
        """Declare the queues and recover what is ours in the broker; ``known`` are the tags of earlier
        links that the consumer still holds, as they are at each moment.  Fetches nothing yet.  ``groups``
        gives the queues of each group by its name; no queue may be in two of them.

        ``on_gone`` is told of tags that are ours no more, though we have not settled them: others have
        taken them over.  It is called before the ``then`` of a settlement that came too late, and with no
        tags when ``sure_until`` has come to lie ahead again.

        May block while it connects.  Raises UnavailableError, or the broker library's own connection
        errors, when that fails; ``on_lost`` is for what happens after it has returned."""

    def fetch(self, group: str, room: int) -> None:
        """The consumer has room for ``room`` deliveries of ``group`` more than it has been given; 0 stops
        fetching them."""

    def drain(self) -> None:
        """Fetch no more, for good, and return to the broker what has come and was not given to the consumer.
        What is on its way meanwhile may still be delivered."""

    def backlog(self, queues: Sequence[str], then: Counted) -> None:
        """Count the messages that wait in ``queues`` for anyone: ``then`` gets the number of each that could
        be counted.  It is never called once the link is lost."""

    def wait(self) -> None:
        """Arrange to look again as soon as a message may have come (called after an empty look)."""

    def settle(self, deliveries: Sequence[Delivery], then: Done | None = None) -> None:
        """These are done: forget them.  ``then`` is called when the broker has confirmed it."""

    def give_back(self, deliveries: Sequence[Delivery], then: Done | None = None) -> None:
        """These were not run: return them to their queues for anyone, with the deaths they have caused."""

    def put_aside(self, delivery: Delivery, letter: Letter, then: Done | None = None) -> None:
        """Move one to ``<queue>.dead`` with the letter, byte for byte, then forget it."""

    def can_park(self, delivery: Delivery) -> bool:
        """True when the broker can keep this one until it is due.

        Where it must be prepared for that first, that begins here, and it may be asked again."""

    def park(self, delivery: Delivery, then: Done, refused: Done) -> None:
        """Let this one, which is due later and can be parked, wait in the broker: about then it is in its
        queue again, for anyone, with the deaths it has caused.  ``refused`` is called in place of ``then``
        when the broker does not keep it; it is still ours then."""

    def note(self, delivery: Delivery, deaths: int) -> None:
        """Should this node die, another one that takes this over shall count so many deaths.  Best effort
        (Redis); nothing where the broker cannot keep it (AMQP)."""

    def add_queue(self, group: str, name: str) -> None:
        """Consume one queue more, for ``group``.

        Errors: py-amqp's ChannelError when the broker refuses that; the link is none the worse for it."""

    def cancel_queue(self, name: str) -> None:
        """Consume this queue no more; what is in flight from it stays ours."""

    def info(self) -> Mapping[str, Any]:
        """Plain values for ``status``."""

    def close(self) -> None:
        """Leave the link; nothing of this source fires afterwards.  May be called twice."""
