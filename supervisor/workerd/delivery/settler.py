"""Settle decided requests through whatever link there is, now or later.

A verdict is kept on its request until the broker has confirmed it.  When the link is lost in between,
it is sent again over the next one where the tag is still ours, and else when the message comes again.

What runs is noted with the source, so that another node counts our death for it, should we die; a run that is
over within ``LASTS`` is not, and costs nothing for that.

Units: seconds.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

from workerd.delivery.request import Request, Settlement, Stage, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from workerd.clock import Clock
    from workerd.delivery.dead import DeadRoom
    from workerd.delivery.deaths import Deaths
    from workerd.delivery.table import Table
    from workerd.source.base import Delivery, TaskSource


LASTS = 0.1
"""Runs that go on for so long are worth a note."""


class Settler:
    """Applies verdicts; ``on_settled`` is called after each that left the table."""

    def __init__(
        self,
        table: Table,
        dead_room: DeadRoom,
        deaths: Deaths,
        clock: Clock,
        timer: Any,
        on_settled: Callable[[], None],
    ) -> None:
        self.table, self.clock, self.timer, self.on_settled = table, clock, timer, on_settled
        self.dead_room, self.deaths = dead_room, deaths
        self._begun: list[int] = []  # numbers, so that a request whose run is over is not kept alive
        self.source: TaskSource | None = None
        self.takes_back = False
        """The broker takes what is unsettled back when a link is lost (AMQP)."""
        self._sure_until = math.inf  # as the last link left it
        self.on_parked: Callable[[Request], None] = _nothing
        self.on_refused: Callable[[Request], None] = _nothing
        """Of what should be parked: the broker has it, or cannot keep it."""
        self.on_forgotten: Callable[[Request], None] = _nothing
        """One that was adopted has left the table."""

    @property
    def sure(self) -> bool:
        """True while no other node can have taken over what is held here."""
        until = self.source.sure_until if self.source is not None else self._sure_until
        return self.clock.boottime() < until

    def attach(self, source: TaskSource) -> None:
        """A new link is up: send again what the last one did not confirm."""
        self.source, self.takes_back = source, not source.survives_link
        for request in self.table.in_stage(Stage.SETTLING):
            if request.linked:
                self._apply(request)
        self.note_all()

    def detach(self) -> list[Request]:
        """The link is lost.  Return the requests that the broker has taken back unstarted."""
        source, self.source = self.source, None
        self.table.publishes.link_lost(self.clock.now())
        if source is None:
            return []
        self._sure_until = source.sure_until
        if source.survives_link:
            for request in self.table:
                request.doubtful |= request.stage in (Stage.ACKNOWLEDGING, Stage.SETTLING)
            return []
        dropped = self.table.unlink(self.clock.now())
        self.on_settled()
        return dropped

    def began(self, request: Request) -> None:
        """It begins to run."""
        if request.delivery.redelivered or request.deaths:
            # It may be what ended another process, and be quick about it.
            self.note(request)
        else:
            if not self._begun:
                self.timer.call_after(LASTS, self._note_what_lasts)
            self._begun.append(request.number)

    def ended(self, request: Request) -> None:
        """It runs no more, or its child has died of it."""
        if request.noted or request.deaths:
            self.note(request)

    def note(self, request: Request) -> None:
        """Tell the source what is to be counted for it now, should we die."""
        theirs = request.linked and not request.acknowledged and not request.delivery.adopted
        if self.source is not None and theirs:
            request.noted = True
            self.source.note(request.delivery, self.deaths.if_we_die(request))

    def note_all(self) -> None:
        """What is known of everything held here, over a new link or after a change for all."""
        for request in self.table:
            if request.stage is Stage.RUNNING or request.deaths:
                self.note(request)

    def _note_what_lasts(self) -> None:
        begun, self._begun = self._begun, []
        for number in begun:
            request = self.table.get(number)
            if request is None or request.stage is not Stage.RUNNING:
                continue
            if request.time_start is not None:
                self.note(request)
            else:
                self._begun.append(number)  # it is with its child, which runs others before it
        if self._begun:
            self.timer.call_after(LASTS, self._note_what_lasts)

    def decide(self, request: Request, verdict: Verdict) -> None:
        """The request's fate is known: tell the broker as soon as it can be told."""
        if verdict.settlement is Settlement.PUT_ASIDE and verdict.letter is None:
            verdict = self.dead_room.admit(request.delivery, verdict.reason, request.deaths)
        request.verdict, request.stage = verdict, Stage.SETTLING
        if request.acknowledged:
            self._confirmed(request)
        elif request.linked:
            self._apply(request)
        else:
            self.table.end(request, verdict, self.clock.now())
            if verdict.settlement is Settlement.DONE:
                self.deaths.settled(request)
            self.on_settled()

    def adopt(self, request: Request, delivery: Delivery) -> None:
        """The state database keeps it as ``delivery``: tell the broker that it is done."""
        before = request.delivery
        self.table.redeliveries.acknowledged(request, self.clock.now())
        self.table.relink(request, delivery)
        if self.source is not None:
            self.source.settle([before])

    def _apply(self, request: Request) -> None:
        source, verdict, adopted = self.source, request.verdict, request.delivery.adopted
        if verdict is None:
            return
        if adopted and verdict.settlement is Settlement.DONE:
            self._confirmed(request)  # the broker was told when it was adopted
            return
        if source is None or (adopted and source.survives_link):
            return  # another kind of broker cannot have it back
        then = partial(self._confirmed, request)
        match verdict.settlement:
            case Settlement.DONE:
                source.settle([request.delivery], then)
            case Settlement.GIVE_BACK:
                request.delivery.deaths = request.deaths
                source.give_back([request.delivery], then)
            case Settlement.PARK:
                request.delivery.deaths = request.deaths
                source.park(request.delivery, then, partial(self.on_refused, request))
            case Settlement.PUT_ASIDE:
                assert verdict.letter is not None  # ``decide`` has had one written
                source.put_aside(request.delivery, verdict.letter, then)

    def _confirmed(self, request: Request) -> None:
        now, adopted = self.clock.now(), request.delivery.adopted
        if self.takes_back and not adopted:
            self.table.redeliveries.settled(request, now)
        self.table.remove(request, now)
        if request.deaths:
            self.deaths.settled(request)
        if adopted:
            self.on_forgotten(request)
        if request.verdict is not None and request.verdict.settlement is Settlement.PARK:
            self.on_parked(request)
        self.on_settled()


def _nothing(request: Request) -> None:
    """Nobody wants to know."""
