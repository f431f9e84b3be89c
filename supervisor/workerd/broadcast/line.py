"""Line: a Redis link that is opened when it is wanted, and again after each loss.

Units:  seconds.
Source: exponential backoff with full jitter, as for the consumer's link.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Sequence
from typing import Any

import hiredis

from workerd.errors import UnavailableError
from workerd.transport.address import RedisAddress
from workerd.transport.loop import Cancelable, Loop
from workerd.transport.redis import RedisLink

logger = logging.getLogger(__name__)

PATIENCE = 5.0
FIRST, CAP = 0.25, 4.0

OnPush = Callable[[Sequence[Any]], object]


class SubscriberLink(RedisLink):
    """A link on which PSUBSCRIBE is confirmed and messages are pushed, alike in both protocols.

    RESP2 has no pushes: there messages come as plain answers.  RESP3 confirms a subscription by a push and
    sends no answer at all.
    """

    def _take(self, reply: Any) -> None:
        kind = reply[0] if isinstance(reply, list) and reply else None
        if kind == b"pmessage":
            if self._on_push is not None:
                self._on_push(reply)
        elif kind == b"psubscribe" and isinstance(reply, hiredis.PushNotification):
            super()._take(list(reply))
        else:
            super()._take(reply)


class Line:
    """``on_up(link)`` is called each time that a link stands."""

    def __init__(
        self,
        loop: Loop,
        address: RedisAddress,
        on_up: Callable[[RedisLink], object],
        kind: type[RedisLink] = RedisLink,
        on_push: OnPush | None = None,
    ) -> None:
        self._loop, self._address, self._on_up = loop, address, on_up
        self._kind, self._on_push = kind, on_push
        self._link: RedisLink | None = None
        self._retry: Cancelable | None = None
        self._failures = 0
        self._closed = False

    @property
    def link(self) -> RedisLink | None:
        """The link, if it stands."""
        return self._link if self._link is not None and self._link.up else None

    def want(self) -> None:
        """Open it, if it is not open or on its way."""
        if self._link is None and self._retry is None and not self._closed:
            self._open()

    def close(self) -> None:
        """Leave; what was sent still arrives.  May be called twice."""
        self._closed = True
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        if self._link is not None:
            self._link.close()
            self._link = None

    def _open(self) -> None:
        self._retry = None
        if self._closed:
            return
        self._link = self._kind(self._loop, self._address, on_lost=self._lost, on_push=self._on_push)
        try:
            self._link.open(PATIENCE, self._up)
        except UnavailableError as exc:  # a TLS link is opened in one go
            self._lost(exc.what)

    def _up(self) -> None:
        self._failures = 0
        if self._link is not None:
            self._on_up(self._link)

    def _lost(self, reason: str) -> None:
        self._link = None
        if self._closed:
            return
        # The link of the task queues tells of a server that has gone; this one only of what is its own.
        logger.debug("The link for broadcasts is lost: %s", reason)
        self._failures += 1
        delay = random.uniform(0.0, min(CAP, FIRST * 2.0 ** min(self._failures, 10)))
        self._retry = self._loop.call_later(delay, self._open)
