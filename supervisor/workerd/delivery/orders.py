"""Orders: what an operator, or the end of a stop, wants of runs that go on.

Units: seconds.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from workerd.delivery.limits import Limits
from workerd.delivery.outcome import DONE
from workerd.delivery.request import NOT_BEGUN, Request, Stage
from workerd_pool import Interruption

if TYPE_CHECKING:
    from workerd.delivery.dispatcher import Dispatcher

logger = logging.getLogger(__name__)


class Orders:
    """Acts on the requests of one dispatcher."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self.dispatcher = dispatcher

    def soft_stop(self) -> None:
        """Interrupt what runs, so that it can clean up; what then ends unfinished goes back to its queue."""
        for request in self.dispatcher.table.in_stage(Stage.RUNNING):
            pool = self.dispatcher.lane_of(request).pool
            if pool is not None:
                pool.interrupt_job(request.number, Interruption.STOP, "the daemon is stopping")

    def link_lost(self, grace: float) -> int:
        """Interrupt what runs and is not acknowledged, because the broker may give it to others now; it goes
        back unfinished.  Return how many."""
        cut = [one for one in self.dispatcher.table.in_stage(Stage.RUNNING) if not one.acknowledged]
        for request in cut:
            if (pool := self.dispatcher.lane_of(request).pool) is not None:
                pool.interrupt_job(request.number, Interruption.STOP, "the link to the broker is lost", grace)
        return len(cut)

    def limit(self, task: str, limits: Limits | None) -> int:
        """New limits for the runs of ``task``, or with None its usual ones; return how many of them go on.

        They count from the start of a run, also of one that goes on.
        """
        desk = self.dispatcher
        if limits is None:
            desk.limits.reset(task)
        else:
            desk.limits.set(task, limits)
        running = 0
        for request in desk.table.in_stage(Stage.RUNNING):
            lane = desk.lane_of(request)
            if request.message.task == task and lane.pool is not None:
                now = lane.limits_of(request)
                running += lane.pool.limit_job(request.number, now.soft, now.hard)
        return running

    def terminate(self, task_id: str, *, kill: bool, grace: float) -> list[str]:
        """End every run of this id, and do not begin one that waits here; return what was done to each.

        A run is interrupted and killed when it has not ended within ``grace``, or with ``kill`` at once.
        """
        return [self._end(request, kill, grace) for request in self.dispatcher.table.with_id(task_id)]

    def revoke_waiting(self, is_meant: Callable[[Request], bool]) -> None:
        """Do not begin those that wait here; what runs goes on, and no retry of it is begun."""
        desk = self.dispatcher
        for request in desk.table:
            if request.stage is Stage.ACKNOWLEDGING and is_meant(request):
                request.unwanted = True
            elif request.stage in NOT_BEGUN and request.epitaph is None and is_meant(request):
                self.revoke(request)
        for lane in desk.lanes.values():
            lane.keep_only_held()
        desk.pump()

    def _end(self, request: Request, kill: bool, grace: float) -> str:
        desk = self.dispatcher
        if request.epitaph is not None:
            return "had ended"
        if request.stage in NOT_BEGUN:
            self._not_begun(request, desk.failures.terminated)
            desk.lane_of(request).keep_only_held()
            return "revoked before it ran"
        # Neither once the broker has confirmed it, nor when its child dies of something else.
        request.unwanted = True
        if request.stage is Stage.ACKNOWLEDGING:
            return "revoked before it ran"
        pool = desk.lane_of(request).pool
        if request.stage is not Stage.RUNNING or pool is None:
            return "had ended"
        if kill and pool.kill_job(request.number, "killed by an operator"):
            return "killed"
        told = pool.interrupt_job(
            request.number, Interruption.TERMINATE, "by an operator", 0.0 if kill else grace
        )
        return "interrupted" if told else "revoked before it ran"

    def revoke(self, request: Request) -> None:
        """It was not begun, and will not be."""
        self._not_begun(request, self.dispatcher.failures.revoked)

    def _not_begun(self, request: Request, told: Callable[[Request, Callable[[], None]], None]) -> None:
        desk = self.dispatcher
        if request.timer is not None:
            request.timer.cancel()
            request.timer = None
        desk.narrator.revoked(request)
        desk.totals.revoked += 1
        request.stage = Stage.STORING
        told(request, partial(desk.settler.decide, request, DONE))
