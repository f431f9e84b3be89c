"""Aftermath: a child sends what follows a failure that the supervisor itself has found.

A call that expired, was revoked, or whose child died over it may be part of a chord or a chain, and may have
errbacks: others wait for it.  Only a child knows the app, so one gets the message once more, with the word
that the call has ended; it runs nothing and sends what follows.  Should it die of that, the result is stored
alone.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from workerd.delivery.request import Request, Stage
from workerd.protocol.failure import encode_exception
from workerd.protocol.incoming import waits_for
from workerd.protocol.states import REJECTED

if TYPE_CHECKING:
    from workerd.delivery.dispatcher import Dispatcher
    from workerd.delivery.outcome import Outcome


class Epitaph(msgspec.Struct, eq=False):
    """How a call has ended, on its way to those who wait for it."""

    state: str
    error: dict[str, Any]
    alone: Callable[[], None]
    """Stores the result, whatever follows it."""
    then: Callable[[], None]


class Aftermath:
    """Of the requests of one dispatcher."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self.dispatcher = dispatcher

    def begin(
        self,
        request: Request,
        state: str,
        exc: Exception,
        alone: Callable[[], None],
        then: Callable[[], None],
    ) -> bool:
        """Have a child tell of the end of ``request``; False when nobody waits for it, or nobody can tell."""
        desk = self.dispatcher
        lane = desk.lane_of(request)
        if lane.pool is None or desk.runs.killing or request.epitaph is not None:
            return False
        if not waits_for(request.message.payload):
            return False
        error = encode_exception(exc, lambda value: isinstance(value, (str, int, float, bool, type(None))))
        request.epitaph = Epitaph(state, error, alone, then)
        request.stage = Stage.RESERVED
        lane.ready.append(request)
        desk.timer.call_after(0.0, lane.pump)
        return True

    def ended(self, request: Request, epitaph: Epitaph, outcome: Outcome, body: bytes) -> None:
        """A child has told of it."""
        desk = self.dispatcher
        desk.settler.ended(request)
        if outcome.state == REJECTED and outcome.requeue:
            # The broker or the backend is away.
            request.stage = Stage.RESERVED
            desk.lane_of(request).ready.append(request)
            return
        request.stage = Stage.STORING
        if outcome.store and desk.results is not None:
            desk.results.store(request.id, outcome.stored_state, body, partial(self._over, request, epitaph))
        else:
            self._over(request, epitaph)

    def lost(self, request: Request, epitaph: Epitaph) -> None:
        """The child died before it had told of it."""
        self.dispatcher.settler.ended(request)
        request.stage, request.epitaph = Stage.STORING, None
        epitaph.alone()

    def _over(self, request: Request, epitaph: Epitaph) -> None:
        request.epitaph = None
        epitaph.then()
