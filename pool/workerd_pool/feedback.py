"""Feedback: what children tell of their jobs, on its way to the host."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from workerd_pool import recycling
from workerd_pool.child_handle import ChildHandle
from workerd_pool.contract import Listener
from workerd_pool.log import logger, tell

if TYPE_CHECKING:
    from workerd_pool.dispatcher import Dispatcher

_decode_started = msgspec.msgpack.Decoder(tuple[int]).decode
_decode_done = msgspec.msgpack.Decoder(tuple[int, float, dict[str, Any], int, str]).decode
_decode_progress = msgspec.msgpack.Decoder(tuple[int, dict[str, Any]]).decode


class Feedback:
    """Serves the frames that name a job."""

    def __init__(self, dispatcher: Dispatcher, listener: Listener, clock: Callable[[], float]) -> None:
        self._dispatcher, self._listener, self._clock = dispatcher, listener, clock

    def on_started(self, child: ChildHandle, header: bytes, body: bytes) -> None:
        """STARTED: the child has read the job."""
        job = child.begin(_decode_started(header)[0], self._clock())
        if job is None:
            return
        recycling.begun(child)
        if self._dispatcher.alarm is not None:
            # The hard limit is after its dump.
            self._dispatcher.alarm.at(min(child.due.soft, child.due.dump, child.due.memory))
        tell(self._listener.on_started, job, child.pid)

    def on_progress(self, child: ChildHandle, header: bytes, body: bytes) -> None:
        """PROGRESS of a job."""
        job_id, told = _decode_progress(header)
        job = child.jobs.get(job_id)
        if job is not None:
            tell(self._listener.on_progress, job, told, body)

    def on_done(self, child: ChildHandle, header: bytes, body: bytes) -> None:
        """DONE: the outcome of a job."""
        job_id, seconds, outcome, printed, worn = _decode_done(header)
        now = self._clock()
        job = child.finish(job_id, now)
        if job is None:
            logger.warning("%s: DONE of job %d that it does not have", child.name(), job_id)
            return
        if worn:
            recycling.worn(child, job, worn)
        recycling.ended(child, seconds, now)
        self._dispatcher.finished(child, job_id, seconds)
        if worn:
            # It begins no other job, so there is no mark and none is needed.
            child.outlet.read_out(job)
        if printed or not child.outlet.at_rest:
            child.outlet.end(job_id, job, printed)
            self._dispatcher.hush(child)
        tell(self._listener.on_done, job, outcome, body)
