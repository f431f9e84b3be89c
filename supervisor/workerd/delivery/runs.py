"""Runs: from the pool's word on a job to the verdict on its message.

A run that its child's death cuts off starts again, up to ``max_crashes`` deaths; then its message is put
aside, so that a task that kills its child cannot go on for ever.  A child that this daemon itself kills,
because its stop has taken too long, is no death of the message's.  A run that goes over a hard limit, of
time or of memory, has failed and does not start again: it would only do the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from workerd.delivery.outcome import DONE, GIVE_BACK, Outcome, verdict
from workerd.delivery.request import Request, Settlement, Stage, Verdict
from workerd_pool import Cause

if TYPE_CHECKING:
    from workerd.delivery.dispatcher import Dispatcher
    from workerd_pool import Death, Job


MOST_REFUSALS = 100
"""Tries to find a child that knows a task which the current generation knows."""


class Runs:
    """Every pool's listener for jobs."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self.dispatcher = dispatcher
        self.killing = False
        self.begun: Counter[str] = Counter()
        """Runs since the start of the daemon, by the name of the task."""

    @property
    def max_crashes(self) -> int:
        """Deaths that end the runs of a message."""
        return self.dispatcher.deaths.most

    def on_started(self, job: Job, pid: int) -> None:
        """A child has read the job."""
        desk = self.dispatcher
        request = desk.table.get(job.id)
        if request is not None and request.epitaph is None:
            request.time_start, request.worker_pid = desk.clock.wall(), pid
            desk.totals.started += 1
            self.begun[request.message.task] += 1
            if desk.events is not None:
                desk.events.started(request)
            desk.on_work()

    def on_progress(self, job: Job, header: Mapping[str, Any], body: bytes) -> None:
        """The task told a state of its own, such as STARTED, or an event."""
        desk = self.dispatcher
        request = desk.table.get(job.id)
        if request is not None and (kind := header.get("event")):
            if desk.events is not None:
                desk.events.told(request, str(kind), fields_of(body))
        elif request is not None and desk.results is not None:
            state, reply_to = str(header.get("state", "")), request.message.reply_to
            desk.results.store(request.id, state, body, None, reply_to)

    def on_done(self, job: Job, header: Mapping[str, Any], body: bytes) -> None:
        """The run has ended: store its result, then settle its message.

        The next one is started when the pool tells that it is free, once for all that have ended at a time.
        """
        desk = self.dispatcher
        request = desk.table.get(job.id)
        if request is None:
            return
        desk.deaths.ended(request)
        outcome, lane = Outcome.of(header), desk.lanes[request.pool]
        if request.epitaph is not None:
            desk.aftermath.ended(request, request.epitaph, outcome, body)
            return
        if outcome.unregistered and request.message.task in lane.tasks and request.refusals < MOST_REFUSALS:
            # In the middle of a reload: the new generation knows it, a child of the old one does not.
            request.refusals += 1
            desk.requeue(request)
            lane.pump()
            return
        if outcome.stopped:
            desk.totals.interrupted += 1
            desk.give_back(request, "interrupted by the stop")
            return
        desk.narrator.ended(request, outcome)
        if desk.events is not None:
            desk.events.ended(request, outcome)
        desk.totals.count(outcome.state)
        if outcome.runtime is not None:
            lane.prefetch.record(outcome.runtime)
        request.stage = Stage.STORING
        if request.noted or request.deaths:
            desk.settler.ended(request)
        fate = verdict(outcome, request.options)
        if outcome.store and desk.results is not None:
            decide = partial(desk.settler.decide, request, fate)
            desk.results.store(request.id, outcome.stored_state, body, decide, request.message.reply_to)
        elif outcome.state == "INTERNAL":
            desk.failures.internal(request, outcome.error, partial(desk.settler.decide, request, fate))
        else:
            desk.settler.decide(request, fate)

    def on_lost(self, job: Job, death: Death) -> None:
        """The child died while it ran this job."""
        desk = self.dispatcher
        request = desk.table.get(job.id)
        if request is None:
            return
        desk.deaths.ended(request)
        if request.epitaph is not None:
            desk.aftermath.lost(request, request.epitaph)
            desk.lane_of(request).pump()
            return
        desk.totals.cut_off += 1
        if death.cause is Cause.OPERATOR:
            self._terminated(request, death)
        elif death.cause is Cause.BYSTANDER and not request.acknowledged:
            desk.narrator.bystander(request, death)
            desk.requeue(request)
        elif self.killing and not request.acknowledged:
            if death.cause is not Cause.POOL:
                desk.deaths.died(request)
            desk.give_back(request, f"its child was stopped ({death.words})")
        else:
            desk.deaths.died(request)
            if limit_of(death) or not _runs_again(request) or request.deaths >= self.max_crashes:
                self._fail(request, death)
            else:
                desk.narrator.lost(request, death, self.max_crashes)
                desk.requeue(request)
        desk.lane_of(request).pump()

    def on_returned(self, job: Job) -> None:
        """The pool gives back a job that no child has read."""
        desk = self.dispatcher
        if (request := desk.table.get(job.id)) is not None:
            desk.deaths.ended(request)
            desk.requeue(request)
            desk.lane_of(request).pump()

    def condemn(self, request: Request) -> None:
        """It has come with one death too many: it is not run once more."""
        desk, fate = self.dispatcher, _poison(request)
        desk.totals.failed += 1
        request.stage = Stage.STORING
        desk.failures.killed_before(request, fate.reason, partial(desk.settler.decide, request, fate))

    def _terminated(self, request: Request, death: Death) -> None:
        """Somebody has ordered its end: it counts as revoked, and no death as its own."""
        desk = self.dispatcher
        desk.narrator.failed_by_death(request, death, "it counts as revoked")
        desk.totals.revoked += 1
        request.stage = Stage.STORING
        desk.failures.killed(request, partial(desk.settler.decide, request, DONE))

    def _fail(self, request: Request, death: Death) -> None:
        """No further run: the hard limit, an early acknowledgement, or one death too many."""
        desk = self.dispatcher
        fate = DONE
        if request.acknowledged:
            words = "it was acknowledged before it ran, so it does not run again"
        elif limit_of(death) and request.options.acks_on_timeout:
            words = f"it failed by its {limit_of(death)}"
        elif request.deaths >= self.max_crashes:
            words = f"death {request.deaths} of {self.max_crashes}"
            fate = _poison(request, f", the last: {death.words}")
        elif not limit_of(death):
            words = "its task says reject_on_worker_lost=False, so it does not run again"
            if not request.options.acks_on_failure:
                fate = Verdict(Settlement.PUT_ASIDE, f"failed: {death.words}")
        else:
            words, fate = f"it failed by its {limit_of(death)}", GIVE_BACK
        desk.narrator.failed_by_death(request, death, words)
        desk.totals.failed += 1
        request.stage = Stage.STORING
        desk.failures.died(request, death, partial(desk.settler.decide, request, fate))


def _runs_again(request: Request) -> bool:
    """After the death of its child."""
    return not request.acknowledged and request.options.reject_on_worker_lost is not False


def fields_of(body: bytes) -> dict[str, Any]:
    """What a task's own event says; nothing if its child sends nonsense."""
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return {}


def _poison(request: Request, last: str = "") -> Verdict:
    return Verdict(Settlement.PUT_ASIDE, f"{request.deaths} processes died while they ran it{last}")


def limit_of(death: Death) -> str:
    """The hard limit of the task itself that ended its run; empty for every other death.

    The kernel's OOM killer is none: it takes whoever has most, so its victim may be innocent.
    """
    if death.hard_limit is not None:
        return "time limit"
    return "memory limit" if death.cause is Cause.MEMORY_LIMIT else ""
