"""Deaths: how many processes died while they ran a message, so that one that kills is not run for ever.

Three counts come together here, and the highest is believed: the one in the message's own header (written
when it is given back), the one of this daemon's children, and what the state database kept of a supervisor
that died itself.  A message is known by its *mark*, which its redeliveries share and a new publish does not.

What runs is noted before a child gets it and struck out when it has ended; what is still noted when the next
supervisor starts was running when this one died.  Nothing is noted any more once a stop has begun: a
supervisor that is killed because its stop took too long was not killed by what it ran.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple, Protocol

from workerd.delivery.request import Stage

if TYPE_CHECKING:
    from workerd.delivery.request import Request
    from workerd.source.base import Delivery


class Tally(NamedTuple):
    """Deaths, all told, and how many of them were a supervisor's, which took every run with it."""

    deaths: int
    supervisors: int = 0


NONE = Tally(0)


class Memory(Protocol):
    """What outlives the supervisor.  Nothing here waits for a disk or raises."""

    def began(self, number: int, mark: bytes, tally: Tally) -> None:
        """The request ``number`` runs as soon as this is saved."""

    def ended(self, number: int) -> None:
        """It runs no more."""

    def save(self) -> None:
        """What began and ended until now outlives the supervisor.

        Called before children get what has begun; what only ended is saved by the memory itself, soon."""

    def calm(self) -> None:
        """What runs now shall not be blamed for this supervisor's end."""

    def keep(self, mark: bytes, tally: Tally) -> None:
        """Remember a count, in place of the one before."""

    def forget(self, mark: bytes) -> None:
        """The message has come to its end, or carries the count itself."""


class Deaths:
    """The counts of one daemon; ``memory`` is None where nothing outlives it."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.memory: Memory | None = None
        self._tallies: dict[bytes, Tally] = {}
        self._suspect: int | None = None  # the request that runs as the only one of its kind
        self._calm = False

    def remember(self, memory: Memory, tallies: Mapping[bytes, Tally]) -> None:
        """Use ``memory`` from now on, and believe what it has kept."""
        self.memory = memory
        self._tallies = {**tallies, **self._tallies}

    def of(self, delivery: Delivery) -> Tally:
        """What is known of a message now that it has come."""
        message = delivery.message
        told = Tally(message.deaths) if message is not None and message.deaths else NONE
        return max(self._tallies.get(mark_of(delivery), told), told) if self._tallies else told

    def count_of(self, delivery: Delivery) -> int:
        """How many deaths a message has caused, all told."""
        return self.of(delivery).deaths

    def suspected(self, tally: Tally) -> bool:
        """True when one death more is the last, and not all of them are certainly its own."""
        return tally.supervisors > 0 and tally.deaths == self.most - 1

    # -- runs --------------------------------------------------------------------------------------

    @property
    def suspect_runs(self) -> bool:
        """Another suspect must wait now: of two beside each other nobody could say which one killed."""
        return self._suspect is not None

    def must_wait(self, request: Request) -> bool:
        """True while another suspect runs."""
        return request.suspect and self._suspect is not None

    def save(self) -> None:
        """What has begun may be given to children: our own death would be known."""
        if self.memory is not None:
            self.memory.save()

    def began(self, request: Request) -> None:
        """It is given to a child after the next ``save``."""
        if request.suspect:
            self._suspect = request.number
        if self.memory is not None and not request.acknowledged and not self._calm:
            mark = mark_of(request.delivery)
            known = self._tallies.get(mark, NONE)
            tally = Tally(request.deaths, known.supervisors) if request.deaths else NONE
            self.memory.began(request.number, mark, tally)

    def ended(self, request: Request) -> None:
        """No child has it any more."""
        if self._suspect == request.number:
            self._suspect = None
        if self.memory is not None:
            self.memory.ended(request.number)

    def died(self, request: Request) -> None:
        """It has cost one child more."""
        request.deaths += 1
        if not request.acknowledged:
            mark = mark_of(request.delivery)
            tally = Tally(request.deaths, self._tallies.get(mark, NONE).supervisors)
            self._tallies[mark] = tally
            request.suspect = self.suspected(tally)
            if self.memory is not None:
                self.memory.keep(mark, tally)

    def settled(self, request: Request) -> None:
        """The broker has confirmed its end, or has its count in the message."""
        if request.deaths:
            mark = mark_of(request.delivery)
            if self._tallies.pop(mark, None) is not None and self.memory is not None:
                self.memory.forget(mark)

    def if_we_die(self, request: Request) -> int:
        """What another node shall count for it then."""
        return request.deaths + (request.stage is Stage.RUNNING and not self._calm)

    def calm(self) -> None:
        """A stop has begun."""
        self._calm = True
        if self.memory is not None:
            self.memory.calm()


def mark_of(delivery: Delivery) -> bytes:
    """What tells this publish of a message, in this queue, from all others."""
    message, name = delivery.message, [delivery.queue]
    if message is not None and message.publisher_tag:
        name.append(message.publisher_tag)
    elif message is not None:
        name += (message.id, str(message.retries), str(message.replaced_task_nesting), message.requeued)
    return blake2b("\0".join(name).encode("utf-8", "surrogatepass"), digest_size=16).digest()
