"""Redeliveries: which messages a broker that takes unsettled ones back (AMQP) may deliver once more.

When a link is lost, so are the tags of what it delivered: a run that goes on becomes an *orphan*, which waits
for its message to come again; of one that has ended the fate is kept.  An acknowledgement is never confirmed
there, so those of the last minutes may not have arrived either, also the early ones.

A message is known by its *mark*, never by the task id alone, because a retry re-uses the id.

Units: seconds of the monotonic clock.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from workerd.delivery.outcome import DONE
from workerd.delivery.request import Settlement, Verdict

if TYPE_CHECKING:
    from workerd.delivery.request import Request
    from workerd.protocol.message import Message
    from workerd.source.base import Delivery

REMEMBER = 600.0
"""How long what has ended is recognised: after the loss of the link, and before it."""

MOST_SETTLED = 10_000
"""Settlements kept in case the link is lost; no more can be on their way than were held here."""

Mark = tuple[str, int, int, str, str, int]


def mark_of(delivery: Delivery, message: Message) -> Mark:
    """What tells one message from another of the same task id.

    The headers do not count: a broker adds to them when it delivers again.  Of the body the hash is enough
    beside the id, and nothing of a large one is kept.
    """
    nesting, body = message.replaced_task_nesting, hash(delivery.raw)
    return message.id, message.retries, nesting, message.requeued, delivery.queue, body


class Fates:
    """Verdicts by mark, each for one redelivery; ``most`` of them, none older than ``REMEMBER``."""

    def __init__(self, most: int | None = None) -> None:
        self._fates: dict[Mark, list[tuple[float, Verdict]]] = {}
        self._order: deque[tuple[float, Mark]] = deque()  # (decided at, mark), the oldest first
        self._most = most

    def __len__(self) -> int:
        return len(self._fates)

    def add(self, mark: Mark, verdict: Verdict, now: float) -> None:
        self._fates.setdefault(mark, []).append((now, verdict))
        self._order.append((now, mark))
        self._forget(now)

    def take(self, mark: Mark, now: float) -> Verdict | None:
        """The oldest verdict on ``mark``, which is forgotten by that."""
        if mark not in self._fates:  # as it is of nearly every message
            return None
        self._forget(now)
        if mark not in self._fates:
            return None
        decided, verdict = self._fates[mark][0]
        self._drop(decided, mark)
        return verdict

    def empty(self, now: float) -> list[Mark]:
        """The marks, each as often as it has a verdict; nothing is kept."""
        self._forget(now)
        marks = [mark for mark, fates in self._fates.items() for _ in fates]
        self._fates.clear()
        self._order.clear()
        return marks

    def _forget(self, now: float) -> None:
        order, most = self._order, self._most
        while order and (order[0][0] < now - REMEMBER or (most is not None and len(order) > most)):
            self._drop(*order.popleft())

    def _drop(self, decided: float, mark: Mark) -> None:
        fates = self._fates.get(mark)
        if fates is not None and fates[0][0] == decided:
            del fates[0]
            if not fates:
                del self._fates[mark]


class Redeliveries:
    """What is waited for, and what to do when it comes."""

    def __init__(self) -> None:
        self._orphans: dict[Mark, list[Request]] = {}
        self._settled = Fates(MOST_SETTLED)  # over the link that is there
        self._unsure = Fates()  # settled, but the link was lost soon after
        self._untold = Fates()

    @property
    def untold(self) -> int:
        """Runs that have ended without a link to say so."""
        return len(self._untold)

    def settled(self, request: Request, now: float) -> None:
        """Its settlement is written; what was given back shall run when it comes again."""
        verdict = request.verdict
        if verdict is None or verdict.settlement is Settlement.GIVE_BACK:
            return
        mark = mark_of(request.delivery, request.message)
        kept = self._unsure if self._adopted(request, mark) else self._settled
        # Done whatever the verdict was: a copy that was put aside is not made twice.
        kept.add(mark, DONE, now)

    def acknowledged(self, request: Request, now: float) -> None:
        """It was adopted, so that is what the broker is told, though its run goes on."""
        self._settled.add(mark_of(request.delivery, request.message), DONE, now)

    def link_lost(self, now: float) -> None:
        """What was settled lately may come again."""
        for mark in self._settled.empty(now):
            self._unsure.add(mark, DONE, now)

    def orphan(self, request: Request) -> None:
        """Its run goes on without a tag to settle."""
        mark = mark_of(request.delivery, request.message)
        self._orphans.setdefault(mark, []).append(request)

    def ended(self, request: Request, verdict: Verdict, now: float) -> None:
        """An orphan has its verdict, or one was on its way when the link was lost."""
        mark = mark_of(request.delivery, request.message)
        self._adopted(request, mark)
        if not verdict.settlement.runs_again:  # the broker has taken that back itself
            self._untold.add(mark, verdict, now)

    def claim(self, delivery: Delivery, message: Message, now: float) -> Request | Verdict | None:
        """What this delivery belongs to: a run that goes on, the fate of one that has ended, or nothing.

        What is returned is no longer waited for.
        """
        mark = mark_of(delivery, message)
        if not delivery.redelivered:
            # Sent anew.  When this one comes again, it must not be taken for the one that is settled.
            self._settled.take(mark, now)
            self._unsure.take(mark, now)
            return None
        if (verdict := self._untold.take(mark, now)) is not None:
            return verdict
        if orphans := self._orphans.get(mark):
            orphan = orphans[0]
            self._adopted(orphan, mark)
            return orphan
        return self._unsure.take(mark, now)

    def _adopted(self, request: Request, mark: Mark) -> bool:
        """It is no orphan any more; False when it was none."""
        orphans = self._orphans.get(mark)
        if orphans is None or request not in orphans:
            return False
        orphans.remove(request)
        if not orphans:
            del self._orphans[mark]
        return True
