"""Feedback: what children tell of their jobs, on its way to the host."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from workerd_pool import recycling
from workerd_pool.child_handle import ChildHandle
from workerd_pool.contract import Job, Listener
from workerd_pool.log import complain, logger, tell

if TYPE_CHECKING:
    from workerd_pool.dispatcher import Dispatcher

_decode_done = msgspec.msgpack.Decoder(tuple[int, float, dict[str, Any], int, str, int | None]).decode
_decode_progress = msgspec.msgpack.Decoder(tuple[int, dict[str, Any]]).decode


class Feedback:
    """Serves the frames that name a job."""

    def __init__(self, dispatcher: Dispatcher, listener: Listener, clock: Callable[[], float]) -> None:
        self._dispatcher, self._listener, self._clock = dispatcher, listener, clock

    def on_progress(self, child: ChildHandle, header: bytes, body: bytes) -> None:
        """PROGRESS of a job."""
        job_id, told = _decode_progress(header)
        self._dispatcher.beginnings.look_at(child, self._clock())
        job = child.jobs.get(job_id)
        if job is not None:
            tell(self._listener.on_progress, job, told, body)

    def on_done(self, child: ChildHandle, header: bytes, body: bytes) -> None:
        """DONE: the outcome of a job, and the id of the one that the child has read and begins now."""
        job_id, seconds, outcome, printed, worn, begun = _decode_done(header)
        now = self._clock()
        if child.current is None and job_id in child.jobs:
            self._dispatcher.beginnings.over(child, job_id, now)
        job = child.finish(job_id, now)
        if job is None:
            logger.warning("%s: DONE of job %d that it does not have", child.name(), job_id)
        else:
            if worn:
                recycling.worn(child, job, worn)
            if child.spec.after_job is not None:
                recycling.ended(child, seconds, now)
            self._dispatcher.finished(child, job_id, seconds)
            if worn or printed or not child.outlet.at_rest:
                self._end_output(child, job, printed, worn)
            try:
                self._listener.on_done(job, outcome, body)
            except Exception:  # noqa: BLE001 - it is logged
                complain(self._listener.on_done)
        if begun is not None:
            self.begun(child, begun, now, now)
        elif child.jobs:
            # Given meanwhile: it was not there yet when the child looked.
            self._dispatcher.beginnings.expect(child, now)

    def begun(self, child: ChildHandle, job_id: int, since: float, now: float) -> None:
        """The child has read a job, no sooner than ``since``."""
        job = child.begin(job_id, since, now)
        if job is None:
            return
        if child.spec.max_jobs is not None:
            recycling.begun(child)
        due, alarm = child.due, self._dispatcher.alarm
        # The hard limit is after its dump.
        if alarm is not None and (due.soft < alarm.when or due.dump < alarm.when or due.memory < alarm.when):
            alarm.at(min(due.soft, due.dump, due.memory))
        try:
            self._listener.on_started(job, child.pid)
        except Exception:  # noqa: BLE001 - it is logged
            complain(self._listener.on_started)

    def _end_output(self, child: ChildHandle, job: Job, printed: int, worn: str) -> None:
        if worn:
            # It begins no other job, so there is no mark and none is needed.
            child.outlet.read_out(job)
        if printed or not child.outlet.at_rest:
            child.outlet.end(job.id, job, printed)
            self._dispatcher.hush(child)
