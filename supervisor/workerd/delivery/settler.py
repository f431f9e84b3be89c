"""Settle decided requests through whatever link there is, now or later.

A verdict is kept on its request until the broker has confirmed it.  When the link is lost in between,
it is sent again over the next one where the tag is still ours, and else when the message comes again.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from workerd.delivery.request import Request, Settlement, Stage, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from workerd.clock import Clock
    from workerd.delivery.table import Table
    from workerd.source.base import TaskSource


class Settler:
    """Applies verdicts; ``on_settled`` is called after each that left the table."""

    def __init__(self, table: Table, clock: Clock, on_settled: Callable[[], None]) -> None:
        self.table, self.clock, self.on_settled = table, clock, on_settled
        self.source: TaskSource | None = None
        self.takes_back = False
        """The broker takes what is unsettled back when a link is lost (AMQP)."""

    def attach(self, source: TaskSource) -> None:
        """A new link is up: send again what the last one did not confirm."""
        self.source, self.takes_back = source, not source.survives_link
        for request in self.table.in_stage(Stage.SETTLING):
            if request.linked:
                self._apply(request)

    def detach(self) -> list[Request]:
        """The link is lost.  Return the requests that the broker has taken back unstarted."""
        source, self.source = self.source, None
        self.table.publishes.link_lost(self.clock.now())
        if source is None or source.survives_link:
            return []
        dropped = self.table.unlink(self.clock.now())
        self.on_settled()
        return dropped

    def decide(self, request: Request, verdict: Verdict) -> None:
        """The request's fate is known: tell the broker as soon as it can be told."""
        request.verdict, request.stage = verdict, Stage.SETTLING
        if request.acknowledged:
            self._confirmed(request)
        elif request.linked:
            self._apply(request)
        else:
            self.table.end(request, verdict, self.clock.now())
            self.on_settled()

    def _apply(self, request: Request) -> None:
        source, verdict = self.source, request.verdict
        if source is None or verdict is None:
            return
        then = partial(self._confirmed, request)
        match verdict.settlement:
            case Settlement.DONE:
                source.settle([request.delivery], then)
            case Settlement.GIVE_BACK:
                source.give_back([request.delivery], then)
            case Settlement.PUT_ASIDE:
                source.put_aside(request.delivery, verdict.reason, then)

    def _confirmed(self, request: Request) -> None:
        if self.takes_back:
            self.table.redeliveries.settled(request, self.clock.now())
        self.table.remove(request, self.clock.now())
        self.on_settled()
