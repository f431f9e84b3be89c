"""The table of what this node holds.

On a broker that takes unsettled messages back when a link is lost (AMQP), the same delivery comes again
while its run goes on or after it has finished (see ``redeliveries``); on Redis a crash of the broker may do
the same (see ``publishes``).  Then a run that goes on is attached to the new delivery, one that ended is
settled as it was decided.

Units: seconds of the monotonic clock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, KeysView
from itertools import count
from typing import TYPE_CHECKING, Any

from workerd.delivery.publishes import Publishes
from workerd.delivery.redeliveries import Redeliveries
from workerd.delivery.request import Request, Stage, Verdict

if TYPE_CHECKING:
    from workerd.source.base import Delivery


class Table:
    """Requests by number and by tag, and what waits to be delivered again."""

    def __init__(self) -> None:
        self._requests: dict[int, Request] = {}
        self._by_tag: dict[Any, Request] = {}
        self.publishes, self.redeliveries = Publishes(), Redeliveries()
        # Bound once: they are asked for with every message.
        self.next_number: Callable[[], int] = count(1).__next__
        """Of the next request."""
        self.get: Callable[[int], Request | None] = self._requests.get
        """The request of this number."""
        self._by_pool: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._requests)

    def __iter__(self) -> Iterator[Request]:
        return iter(list(self._requests.values()))

    def held(self, pool: str) -> int:
        """How many requests this node holds for ``pool``."""
        return self._by_pool[pool]

    def add(self, request: Request) -> None:
        self._requests[request.number] = request
        self._by_pool[request.pool] += 1
        self._by_tag[request.delivery.tag] = request
        self.publishes.add(request)

    @property
    def tags(self) -> KeysView[Any]:
        """Of the deliveries that this node holds and has not acknowledged, as they are at each moment."""
        return self._by_tag.keys()

    def with_tag(self, tag: Any) -> Request | None:
        return self._by_tag.get(tag)

    def remove(self, request: Request, now: float) -> None:
        """Forget a request whose settlement is confirmed."""
        self.publishes.remove(request, now)
        if self._requests.pop(request.number, None) is not None:
            self._by_pool[request.pool] -= 1
        if self._by_tag.get(request.delivery.tag) is request:
            del self._by_tag[request.delivery.tag]

    def acknowledged(self, request: Request) -> None:
        """The broker has forgotten it before it runs: its tag names nothing any more."""
        if self._by_tag.get(request.delivery.tag) is request:
            del self._by_tag[request.delivery.tag]

    def in_stage(self, stage: Stage) -> list[Request]:
        return [request for request in self._requests.values() if request.stage is stage]

    def with_id(self, task_id: str) -> list[Request]:
        """More than one where a retry has come before its first run was settled."""
        return [request for request in self._requests.values() if request.id == task_id]

    def unlink(self, now: float) -> list[Request]:
        """The link is gone and its tags with it.  Return what has not started: it will come again."""
        self.redeliveries.link_lost(now)
        dropped = []
        for request in self:
            if not request.linked or request.delivery.adopted:
                continue  # waited for already, since an earlier loss; or not with the broker
            self._by_tag.pop(request.delivery.tag, None)
            request.linked = False
            if request.verdict is not None:
                # The settlement may or may not have arrived.
                self.end(request, request.verdict, now)
            elif request.acknowledged or request.stage in (Stage.RUNNING, Stage.STORING):
                self.redeliveries.orphan(request)
            else:
                self.remove(request, now)
                dropped.append(request)
        return dropped

    def end(self, request: Request, verdict: Verdict, now: float) -> None:
        """An unlinked run has its verdict: keep that until its delivery comes again, if it does."""
        self.redeliveries.ended(request, verdict, now)
        self.remove(request, now)

    def relink(self, request: Request, delivery: Delivery) -> None:
        """The run goes on under the tag of its new delivery."""
        if self._by_tag.get(request.delivery.tag) is request:
            del self._by_tag[request.delivery.tag]
        request.delivery, request.linked = delivery, True
        request.taken = request.doubtful = False
        self._by_tag[delivery.tag] = request
