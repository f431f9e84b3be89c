"""Publishes: which message, as its publisher sent it, is here or was here a moment ago.

A broker that crashes may forget its last second (Redis' AOF with ``everysec``): a message that we fetched or
settled in that second is in its queue again and is fetched once more, under a new tag of ours.  What tells
it is the publisher's own delivery tag, which every publish makes anew, a retry's too; together with the
queue, because an exchange that serves several queues puts the same message into each.

Units: seconds of the monotonic clock.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from workerd.delivery.request import RUNS_AGAIN, Verdict

if TYPE_CHECKING:
    from workerd.delivery.request import Request

FRESH = 5.0
"""A settlement this old has reached the broker's disk; ``everysec`` needs two at most."""

MOST_FRESH = 50_000
"""Settlements kept in case the link is lost: a few megabytes at the most."""

REMEMBER = 600.0
"""After a lost link, how long what was fresh then is recognised."""

Publish = tuple[str, str]
"""The publisher's tag, and the queue."""


class Publishes:
    """By the publisher's tag; messages without one (AMQP) are never here."""

    def __init__(self) -> None:
        self._held: dict[Publish, Request] = {}
        # (settled at, tag, queue, fate), the oldest first
        self._fresh: deque[tuple[float, str, str, Verdict]] = deque(maxlen=MOST_FRESH)
        self._remembered: dict[Publish, tuple[float, Verdict]] = {}  # (forget at, fate)

    def add(self, request: Request) -> None:
        """A message of this publish is here."""
        if tag := request.message.publisher_tag:
            self._held[tag, request.delivery.queue] = request

    def remove(self, request: Request, now: float) -> None:
        """Its settlement is confirmed; one that was given back or parked may come again and shall run."""
        if not (tag := request.message.publisher_tag):
            return
        publish, verdict = (tag, request.delivery.queue), request.verdict
        if self._held.get(publish) is not request:
            return
        del self._held[publish]
        while self._fresh and self._fresh[0][0] < now - FRESH:
            self._fresh.popleft()
        if verdict is None or verdict.settlement in RUNS_AGAIN:
            return
        if request.taken:
            # It waits in its queue again, or will when the node that took it over has an accident too.
            self._remember(publish, verdict, now)
        else:
            self._fresh.append((now, *publish, verdict))

    def link_lost(self, now: float) -> None:
        """What was settled just now may not have outlived the broker."""
        for settled, tag, queue, verdict in self._fresh:
            if settled >= now - FRESH:
                self._remember((tag, queue), verdict, now)
        self._fresh.clear()

    def find(self, tag: str, queue: str, now: float) -> Request | Verdict | None:
        """The request of this publish that is here, or the fate of one that has ended."""
        if (request := self._held.get((tag, queue))) is not None:
            return request
        if not self._remembered:
            return None
        forget_at, verdict = self._remembered.pop((tag, queue), (0.0, None))
        return verdict if forget_at > now else None

    def _remember(self, publish: Publish, verdict: Verdict, now: float) -> None:
        while self._remembered and next(iter(self._remembered.values()))[0] <= now:
            del self._remembered[next(iter(self._remembered))]
        self._remembered.pop(publish, None)  # so that the oldest stay the first
        self._remembered[publish] = (now + REMEMBER, verdict)
