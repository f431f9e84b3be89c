"""The table of what this node holds, and what became of it lately.

On a broker that takes unsettled messages back when a link is lost (AMQP), the same delivery comes
again while its run goes on or after it has finished; on Redis a crash of the broker may do the same (see
``publishes``).  The table then *joins* the two: a run that goes on is attached to the new delivery, one that
ended is settled as it was decided.  It never joins by task id alone, because a retry re-uses the id.

Units: seconds of the monotonic clock.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import msgspec

from workerd.delivery.publishes import REMEMBER, Publishes
from workerd.delivery.request import Request, Settlement, Stage, Verdict
from workerd.protocol.message import AmqpPayload

if TYPE_CHECKING:
    from workerd.protocol.message import Message

Fingerprint = tuple[str, int, int, bytes]

_decode_parts = msgspec.msgpack.Decoder(AmqpPayload).decode


def fingerprint(message: Message) -> Fingerprint:
    """What tells one run of a message from another run of the same task id.

    The headers do not count: a broker adds to them when it delivers again.
    """
    body = _decode_parts(message.payload).body
    digest = blake2b(body, digest_size=16).digest()
    return (message.id, message.retries, message.replaced_task_nesting, digest)


class Table:
    """Requests by number and by tag, and what waits to be delivered again."""

    def __init__(self) -> None:
        self._requests: dict[int, Request] = {}
        self._by_tag: dict[Any, Request] = {}
        self.publishes = Publishes()
        self._orphans: dict[Fingerprint, list[Request]] = {}
        self._ended: deque[tuple[float, Fingerprint, Verdict]] = deque()  # (forget at, mark, fate)
        self._next = 1
        self._by_pool: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._requests)

    def __iter__(self) -> Iterator[Request]:
        return iter(list(self._requests.values()))

    def next_number(self) -> int:
        self._next += 1
        return self._next - 1

    def held(self, pool: str) -> int:
        """How many requests this node holds for ``pool``."""
        return self._by_pool[pool]

    def add(self, request: Request) -> None:
        self._requests[request.number] = request
        self._by_pool[request.pool] += 1
        self._by_tag[request.delivery.tag] = request
        self.publishes.add(request)

    def get(self, number: int) -> Request | None:
        return self._requests.get(number)

    def knows(self, tag: Any) -> bool:
        """True when this node holds the delivery ``tag``."""
        return tag in self._by_tag

    def remove(self, request: Request, now: float) -> None:
        """Forget a request whose settlement is confirmed."""
        self.publishes.remove(request, now)
        if self._requests.pop(request.number, None) is not None:
            self._by_pool[request.pool] -= 1
        if self._by_tag.get(request.delivery.tag) is request:
            del self._by_tag[request.delivery.tag]

    def in_stage(self, stage: Stage) -> list[Request]:
        return [request for request in self._requests.values() if request.stage is stage]

    def unlink(self, now: float) -> list[Request]:
        """The link is gone and its tags with it.  Return what has not started: it will come again."""
        dropped = []
        for request in self:
            self._by_tag.pop(request.delivery.tag, None)
            request.linked = False
            if request.acknowledged:
                continue
            if request.stage in (Stage.SCHEDULED, Stage.RESERVED, Stage.ACKNOWLEDGING):
                self.remove(request, now)
                dropped.append(request)
            elif request.verdict is not None:
                # The settlement may or may not have arrived.
                self.end(request, request.verdict, now)
            else:
                self._orphans.setdefault(fingerprint(request.message), []).append(request)
        return dropped

    def end(self, request: Request, verdict: Verdict, now: float) -> None:
        """An unlinked run has its verdict: keep that until its delivery comes again, if it does."""
        mark = fingerprint(request.message)
        if request in (orphans := self._orphans.get(mark, [])):
            orphans.remove(request)
            if not orphans:
                del self._orphans[mark]
        if verdict.settlement is not Settlement.GIVE_BACK:  # the broker has taken that back itself
            self._ended.append((now + REMEMBER, mark, verdict))
        self.remove(request, now)

    @property
    def untold(self) -> int:
        """Runs that have ended without a link to say so."""
        return len(self._ended)

    def join(self, message: Message, now: float) -> Request | Verdict | None:
        """What this redelivery belongs to: a run that goes on, the verdict of one that has ended, or nothing.

        What it returns is no longer waited for.
        """
        while self._ended and self._ended[0][0] < now:
            self._ended.popleft()
        if not self._orphans and not self._ended:
            return None
        mark = fingerprint(message)
        for place, (_, ended, verdict) in enumerate(self._ended):
            if ended == mark:
                del self._ended[place]
                return verdict
        if orphans := self._orphans.get(mark):
            request = orphans.pop(0)
            if not orphans:
                del self._orphans[mark]
            return request
        return None

    def relink(self, request: Request, delivery: Any) -> None:
        """The run goes on under the tag of its new delivery."""
        if self._by_tag.get(request.delivery.tag) is request:
            del self._by_tag[request.delivery.tag]
        request.delivery, request.linked = delivery, True
        self._by_tag[delivery.tag] = request
