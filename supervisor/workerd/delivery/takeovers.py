"""Takeovers: what becomes here of messages that another node has taken over.

That happens on Redis alone, to a node that was silent for longer than its lease and then goes on.  What
has not begun is forgotten, because the message is somebody else's now.  What runs, goes on: it cannot be
undone, its result counts as any other, and the run is told and counted as repeated.  Its settlement
changes nothing, because the broker knows its tag no more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from workerd.delivery.request import NOT_BEGUN, Request, Stage

if TYPE_CHECKING:
    from workerd.delivery.dispatcher import Dispatcher


class Takeovers:
    """Told by the source, for one dispatcher."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self.dispatcher = dispatcher

    def on_gone(self, tags: Sequence[Any]) -> None:
        """These are ours no more; with none of them, what is held here is certainly ours again."""
        desk = self.dispatcher
        for tag in tags:
            request = desk.table.with_tag(tag)
            if request is not None and not request.taken and not request.acknowledged:
                self._gone(request)
        desk.pump()
        desk.check_idle()

    def _gone(self, request: Request) -> None:
        attached = self.dispatcher.settler.source is not None
        if request.stage is Stage.ACKNOWLEDGING and attached:
            # Its answer follows.  One that was sent over an earlier link too may have been the one that came.
            request.taken = not request.doubtful
        elif request.stage in NOT_BEGUN or request.stage is Stage.ACKNOWLEDGING:
            self.forget(request)
        elif not request.doubtful:
            request.taken = True
            if request.verdict is None or not request.verdict.settlement.runs_again:
                self.dispatcher.totals.repeated += 1
                self.dispatcher.narrator.repeats(request)

    def forget(self, request: Request) -> None:
        """It is not run here, and nobody is told anything about it."""
        desk = self.dispatcher
        desk.narrator.taken_over(request)
        desk.cancel_timer(request)
        desk.table.remove(request, desk.clock.now())
        desk.lane_of(request).keep_only_held()
