"""What a child tells of a run: the header of its DONE frame and the encoded result.

Errors:  kombu's EncodeError for a result that cannot be written.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from workerd.app.results.group import GroupResult
from workerd.app.results.result import AsyncResult
from workerd.app.running.followups import send_followups
from workerd.app.running.reporting import extended_of, lineage_of
from workerd.app.running.request import Request
from workerd.app.running.trace import Run, failed
from workerd.errors import UnavailableError
from workerd.protocol.brief import brief, cut
from workerd.protocol.exceptions import Reject
from workerd.protocol.failure import safe_repr
from workerd.protocol.lenient import printable
from workerd.protocol.result import make_meta
from workerd.protocol.states import FAILURE, IGNORED, REJECTED, RETRY, SUCCESS

if TYPE_CHECKING:
    from workerd.app.base import App
    from workerd.app.task import Task

logger = logging.getLogger("workerd.task")

REPR_LIMIT = 1024


class Finish:
    """Ends one run: encodes its result and sends what follows it."""

    def __init__(self, app: App, task: Task | None, request: Request) -> None:
        self._app = app
        self._task = task
        self._request = request
        self._encoded: Run | None = None
        self._body, self._kept = b"", False

    def __call__(self, run: Run) -> Run:
        """Encode and send; what fails in it becomes the outcome."""
        try:
            self._encode(run)
        except Exception as exc:  # noqa: BLE001 (a result's own classes may raise anything while encoded)
            run = failed(exc, run.runtime)
        sent = len(self._request.children)
        try:
            send_followups(self._app, self._request, run, self._body)
        except UnavailableError as exc:
            # Not a failure of the task, and nothing may follow twice in silence: run it again later.
            return Run(REJECTED, Reject(f"what follows could not be sent: {exc}", requeue=True))
        except Exception as exc:  # noqa: BLE001 (a follow-up that cannot be sent must show in the result)
            return self._spoilt(failed(exc, run.runtime))
        if len(self._request.children) != sent:
            self._encoded = None
        return run

    def _spoilt(self, run: Run) -> Run:
        """What follows could not be sent; who waits for this call in a chord hears of that failure."""
        if self._request.chord is not None:
            try:
                send_followups(self._app, self._request, run, b"")
            except Exception:
                logger.exception("task %s[%s]: its chord is not told", self._request.task, self._request.id)
        return run

    def report(self, run: Run) -> tuple[dict[str, Any], bytes]:
        """The header and the body of the DONE frame."""
        if run is not self._encoded:
            self._encode(run)
        header = {
            "state": run.state,
            "runtime": run.runtime,
            "repr": self._repr(run),
            "store": self._kept,
        }
        if run.state != SUCCESS:
            header |= self._shortfall(run)
        return header, self._body

    def _shortfall(self, run: Run) -> dict[str, Any]:
        """What there is to tell of a run that did not succeed."""
        value, throws = run.value, self._task.throws if self._task else ()
        return {
            "traceback": None if run.traceback is None else printable(run.traceback),
            "requeue": isinstance(value, Reject) and value.requeue,
            "timeout": run.timeout,
            "stopped": run.stopped,
            "expected": run.state == FAILURE and isinstance(value, throws),
            "cause": cut(safe_repr(value.exc), REPR_LIMIT) if run.state == RETRY else "",
        }

    def _stored(self, run: Run) -> bool:
        if run.state == IGNORED or (run.state == REJECTED and run.value.requeue):
            return False
        ignored, task = self._request.ignore_result, self._task
        if ignored is None and task is not None:
            ignored = task.ignore_result
        if ignored and not (run.state == FAILURE and task is not None and task.store_errors_even_if_ignored):
            return False
        return self._app.backend.enabled

    def _encode(self, run: Run) -> None:
        self._kept = self._stored(run)
        self._body = self._app.backend.encode(self._meta(run)) if self._kept else b""
        self._encoded = run

    def _meta(self, run: Run) -> dict[str, Any]:
        request, conf = self._request, self._app.conf
        state, value = run.state, run.value
        if isinstance(value, (AsyncResult, GroupResult)):
            value = value.as_tuple()
        if state == RETRY:
            value = value.exc
        elif state == REJECTED:
            state, value = FAILURE, Reject(_plain(value.reason), value.requeue)
        lineage = lineage_of(request, extended_of(request) if conf.result_extended else None)
        coding = self._app.backend_options().coding
        return make_meta(request.id or "", state, value, lineage, traceback=run.traceback, coding=coding)

    def _repr(self, run: Run) -> str:
        if run.state == SUCCESS:
            limit = self._task.resultrepr_maxsize if self._task else REPR_LIMIT
            return brief(run.value, min(limit, REPR_LIMIT))
        if run.state in (RETRY, REJECTED):
            return cut(str(run.value), REPR_LIMIT)
        return cut(safe_repr(run.value), REPR_LIMIT)


def _plain(reason: Any) -> Any:
    return safe_repr(reason) if isinstance(reason, BaseException) else reason
