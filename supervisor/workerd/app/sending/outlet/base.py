"""What outlets take, what they leave, and how they fail."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

from kombu.entity import Exchange, Queue

from workerd.app.sending.connection import BrokerConnection
from workerd.protocol.parcel import Parcel
from workerd.protocol.stencil import Filled


class Posting(NamedTuple):
    """One message and how it is to be sent.

    ``letter`` is the message, or a stencil and what fills it.

    ``queue`` is the name of the one behind its route, if there is one, and ``declare`` that queue, or an
    exchange, if it must be declared first; ``number`` is the call's among those that are sent with it;
    ``body`` is what the message holds, where somebody wants to see it once it is sent.
    """

    letter: Parcel | Filled
    queue: str | None
    declare: Queue | Exchange | None
    retry: bool
    policy: Mapping[str, Any]
    number: int
    body: tuple[tuple[Any, ...], dict[str, Any], dict[str, Any]] | None = None

    @property
    def parcel(self) -> Parcel:
        """The whole message."""
        letter = self.letter
        return letter if isinstance(letter, Parcel) else letter.stencil.parcel(letter.filling)

    @property
    def size(self) -> int:
        """Bytes of its body."""
        letter = self.letter
        return len(letter.body if isinstance(letter, Parcel) else letter.filling.body)

    @property
    def place(self) -> tuple[str, str]:
        """Exchange and routing key."""
        letter = self.letter
        address = letter if isinstance(letter, Parcel) else letter.stencil
        return address.exchange, address.routing_key


class Waiting:
    """Postings that have not arrived, in the order in which they should."""

    def __init__(self, postings: Iterable[Posting]) -> None:
        self._front: deque[Posting] = deque()
        self._rest = iter(postings)

    def first(self) -> Posting | None:
        """The next one, which stays here; None when all have arrived."""
        if not self._front:
            following = next(self._rest, None)
            if following is None:
                return None
            self._front.append(following)
        return self._front[0]

    def take(self) -> Posting:
        """The one that ``first`` has shown; it is on its way."""
        return self._front.popleft()

    def put_back(self, postings: Iterable[Posting]) -> None:
        """These have not arrived; they are the next ones, in their order."""
        self._front.extendleft(reversed(list(postings)))

    def leave(self, place: tuple[str, str] | None = None) -> Iterator[Posting]:
        """Take out all; with a ``place`` those for it among them that have been seen already."""
        seen, self._front = self._front, deque()
        if place is None:
            yield from seen
            yield from self._rest
            return
        self._front.extend(posting for posting in seen if posting.place != place)
        yield from (posting for posting in seen if posting.place == place)


class LinkLostError(Exception):
    """The connection broke; what it had not answered for is waiting again.

    ``doubtful``: some of that may have arrived.
    """

    def __init__(self, cause: BaseException | str, *, doubtful: bool) -> None:
        super().__init__(str(cause))
        self.doubtful = doubtful


class Outlet(Protocol):
    """Writes postings to one open connection; used by one thread at a time."""

    @property
    def fresh(self) -> bool:
        """True as long as the connection is the one that this outlet was made on."""

    def send(self, waiting: Waiting) -> None:
        """Send what is waiting up to the first that it does not carry; return when those have arrived.

        What the broker refuses waits again, and nothing more is sent.  Raises LinkLostError.
        """

    def close(self) -> None:
        """Let go of the connection; what was being said on it stays unsaid."""


def is_declared(entity: Queue | Exchange, connection: BrokerConnection) -> bool:
    """True when kombu has declared it over ``connection`` and need not do so again.

    One that expires is declared with each message.
    """
    return bool(entity.can_cache_declaration) and hash(entity) in connection.declared_entities
