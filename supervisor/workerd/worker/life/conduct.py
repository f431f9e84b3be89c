"""Carry out the commands of the life cycle.

Units: seconds of the monotonic clock.  One deadline is fixed when a stop begins; everything after it is
measured against that deadline or against one grace period.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from functools import partial, singledispatchmethod
from typing import TYPE_CHECKING, Any

from workerd.config.model import MAX_SLOTS
from workerd.errors import ExitCode, WorkerdError
from workerd.worker.consumer.link import LinkState
from workerd.worker.life import commands as do
from workerd.worker.life.lifecycle import UP, Event, State
from workerd.worker.life.stop_time import Part
from workerd.worker.log import logs
from workerd.worker.pool.step import recipe
from workerd.worker.status import status, waiting_for

if TYPE_CHECKING:
    from workerd.worker.controller import WorkController

logger = logging.getLogger(__name__)


PATIENCE = 5.0
"""Seconds for killed children to be gone, when nothing else limits them."""

STOPPING = "the daemon is stopping"


class Conductor:
    """Performs commands for one worker, and knows how its loop ended."""

    def __init__(self, worker: WorkController) -> None:
        self.worker = worker
        self.code: int = ExitCode.OK
        self.restart = False
        self.killed = False
        """The stop has killed the children, so that steps are terminated."""
        self._deadline = 0.0  # when the state changes by itself, while a stop goes on
        self._ticker: Any = None
        self._alarm: Any = None
        self._unsettled, self._progress = -1, 0.0  # settlements open, and when that number last changed
        self._stuck = False

    def loop(self) -> None:
        """Run the hub until a Finish; a SystemExit of a callback ends it with its own code."""
        worker = self.worker
        code = worker.hub.run()
        if worker.state is not State.STOPPED and code is not None:
            self.code = code
            self._cut_off()
        self._flush()

    def _cut_off(self) -> None:
        """Nothing has asked the tasks to end, so they are killed and go back."""
        worker = self.worker
        worker.stop_time.ends_within(worker.config.drain.grace)
        worker.dispatcher.kill()
        worker.pools.terminate()
        self._turn_while(lambda: not worker.pools.empty, worker.stop_time.left(PATIENCE, Part.CHILDREN))
        worker.dispatcher.give_back_all("the daemon has stopped")

    @singledispatchmethod
    def perform(self, command: Any) -> None:
        """Do what ``command`` says."""
        raise TypeError(f"{command!r} is not a command of the life cycle")

    # -- stopping ------------------------------------------------------------------------------------

    @perform.register
    def _(self, command: do.BeginDrain) -> None:
        worker = self.worker
        worker.stop_time.ends_within(worker.drain_timeout + worker.config.drain.grace)
        _log_drain(worker)
        worker.reloads.overtaken("the daemon is restarting" if worker.life.restart else STOPPING)
        self._set_alarm(worker.drain_timeout, Event.DEADLINE)
        self._ticker = worker.hub.call_repeatedly(1.0, self._tick)
        self._tell_waiting()
        worker.blueprint.close(worker)
        worker.consumer.drain()
        worker.dispatcher.drain(self._drained)

    @perform.register
    def _(self, command: do.SoftStop) -> None:
        worker = self.worker
        grace = worker.config.drain.grace if worker.dispatcher.unfinished else 0.0
        titles = ", ".join(waiting_for(list(worker.dispatcher.table))) or "nothing runs"
        logger.warning("Stopping: %.0f seconds of grace for %s", grace, titles)
        worker.stop_time.ends_within(grace)
        self._set_alarm(grace, Event.GRACE_OVER)
        worker.dispatcher.orders.soft_stop()

    @perform.register
    def _(self, command: do.KillChildren) -> None:
        worker, self.killed = self.worker, True
        worker.reloads.overtaken(STOPPING)
        worker.desk.end_trial()
        worker.stop_time.ends_within(worker.config.drain.grace)
        self._set_alarm(worker.stop_time.left(worker.config.drain.grace, Part.CHILDREN), Event.GRACE_OVER)
        worker.dispatcher.kill()
        worker.pools.terminate()
        worker.blueprint.close(worker)  # last: what a step does there must not hold up the kill

    @perform.register
    def _(self, command: do.GiveBack) -> None:
        self.worker.dispatcher.give_back_all("the daemon has stopped")

    @perform.register
    def _(self, command: do.Finish) -> None:
        self.code, self.restart = command.code, command.restart
        if self.worker.dispatcher.totals.interrupted and not self.restart:
            # What the stop has cut off went back before anybody had to be killed.
            self.code = self.code or ExitCode.GIVEN_BACK
        for timer in (self._ticker, self._alarm):
            if timer is not None:
                timer.cancel()
        self.worker.hub.stop(int(self.code))

    def _drained(self) -> None:
        self.worker.happened(Event.DRAINED)

    def _set_alarm(self, seconds: float, event: Event) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        worker = self.worker
        # What blocks the loop, such as a connect, must not hold up the alarm.
        self._deadline = worker.inbox.until = worker.clock.now() + seconds
        self._alarm = worker.hub.call_later(seconds, worker.happened, event)

    def shorten(self, seconds: float) -> None:
        """A drain that is under way has at most ``seconds`` more."""
        worker = self.worker
        if worker.state is State.DRAINING and seconds < self._deadline - worker.clock.now():
            worker.stop_time.ends_within(seconds + worker.config.drain.grace)
            self._set_alarm(seconds, Event.DEADLINE)

    def _tick(self) -> None:
        """Each second of a stop: tell who waits, and do not wait for a broker or backend that is gone."""
        worker = self.worker
        self._tell_waiting()
        if worker.state is not State.DRAINING or worker.dispatcher.unfinished:
            return
        worker.dispatcher.check_idle()
        unsettled = worker.dispatcher.unsettled
        now = worker.clock.now()
        if unsettled != self._unsettled:
            self._unsettled, self._progress = unsettled, now
        self._stuck = now - self._progress > worker.config.drain.grace
        if self._stuck:
            logger.warning("Nothing runs any more, and %d settlements get no answer: not waiting", unsettled)
            worker.happened(Event.DEADLINE)

    def _tell_waiting(self) -> None:
        worker = self.worker
        left = max(self._deadline - worker.clock.now(), 0.0)
        titles = waiting_for(list(worker.dispatcher.table))
        fact = {"event": worker.state.value, "waiting_for": titles, "seconds_left": round(left, 1)}
        worker.desk.tell(fact | {"unsettled": worker.dispatcher.unsettled})

    def _flush(self) -> None:
        """The last words to the broker, the backend and the operator, within one grace period."""
        worker = self.worker
        answering = worker.consumer.link.state is LinkState.UP and not self._stuck
        patience = worker.stop_time.left(worker.config.drain.grace, Part.SETTLEMENTS) if answering else 0.0
        self._turn_while(lambda: worker.dispatcher.unsettled > 0, patience)
        left = worker.dispatcher.unsettled
        if left:
            logger.warning("%d messages could not be settled; they will be delivered again", left)
            self.code = self.code or ExitCode.GIVEN_BACK
        worker.desk.tell({"event": "stopped", "code": int(self.code)})

    def _turn_while(self, waiting: Callable[[], bool], seconds: float) -> None:
        """The loop has been left, and this is still to come."""
        worker = self.worker
        deadline = worker.clock.now() + seconds
        alarm = worker.hub.call_later(seconds, _nothing)
        while waiting() and worker.clock.now() < deadline:
            worker.hub.turn()
        alarm.cancel()

    # -- all else ------------------------------------------------------------------------------------

    @perform.register
    def _(self, command: do.BeginReload) -> None:
        self.worker.reloads.begun(self.worker.pools.reload(partial(recipe, self.worker)))

    @perform.register
    def _(self, command: do.AbandonReload) -> None:
        self.worker.reloads.overtaken(STOPPING)

    @perform.register
    def _(self, command: do.Resize) -> None:
        pool = self.worker.pool
        lower, upper = (min(max(1, bound + command.by), MAX_SLOTS) for bound in pool.bounds)
        try:
            pool.resize(lower, upper, reason="TTIN" if command.by > 0 else "TTOU")
        except WorkerdError as exc:
            logger.warning("Refused: %s", exc)
        else:
            logger.info("Slots wanted: %d", pool.wanted)

    @perform.register
    def _(self, command: do.Dump) -> None:
        self.worker.desk.reopen_log()
        logger.info("State: %s", json.dumps(status(self.worker), default=str))
        logger.info("Stacks:\n%s", logs.stacks())

    @perform.register
    def _(self, command: do.Refuse) -> None:
        logger.warning("Refused: %s", command.reason)
        if self.worker.state not in UP:
            self.worker.reloads.overtaken(command.reason)


def _log_drain(worker: WorkController) -> None:
    left = f"at most {worker.drain_timeout:.0f} seconds"
    if titles := ", ".join(waiting_for(list(worker.dispatcher.table))):
        left += f" for {titles}; `workerd stop --now` or a second signal ends it sooner"
    logger.info("Draining: %s", left)


def _nothing() -> None:
    """Only the wake-up counts."""
