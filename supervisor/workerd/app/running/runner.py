"""The app's side of a pool child: what the template loads, and how a child runs one job.

Errors:  ``load`` raises LoadError with what an operator needs; ``run`` raises nothing that a task does.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
from typing import Any

import msgspec

from workerd.app.base import App
from workerd.app.loader import find_app, import_modules
from workerd.app.marks import marks_of
from workerd.app.part import take_part
from workerd.app.running import forked
from workerd.app.running.followups import check_followups
from workerd.app.running.logs import ask_app, set_up
from workerd.app.running.outcome import Finish
from workerd.app.running.preload import read_preload_options
from workerd.app.running.receiving import bare_request, with_arguments
from workerd.app.running.reporting import ChildLink, lineage_of
from workerd.app.running.request import Request
from workerd.app.running.selfcheck import check_app
from workerd.app.running.task_signals import tell_not_run
from workerd.app.running.trace import Run, ended_by, failed, run_call
from workerd.app.sources import own_sources
from workerd.app.task import Task
from workerd.errors import ConfigError, UsageError
from workerd.protocol.exceptions import Ignore, NotRegistered
from workerd.protocol.failure import decode_exception
from workerd.protocol.incoming import open_payload
from workerd.protocol.result import make_meta
from workerd.protocol.states import IGNORED, STARTED
from workerd.signals import worker_process_init, worker_process_shutdown
from workerd_pool import INTERRUPTIONS, LoadError

logger = logging.getLogger("workerd.task")

Report = tuple[dict[str, Any], bytes]

# What the supervisor must know of a task to treat its messages.
TABLE = (
    "acks_late",
    "acks_on_failure",
    "acks_on_timeout",
    "ignore_result",
    "max_retries",
    "rate_limit",
    "reject_on_worker_lost",
    "send_events",
    "soft_time_limit",
    "store_errors_even_if_ignored",
    "time_limit",
    "track_started",
)


class LoadArgument(msgspec.Struct, kw_only=True):
    """What the supervisor tells the template; what is None stays as the app's settings say."""

    app: str
    broker: tuple[str, ...] | None = None
    backend: str | None = None
    hostname: str = ""
    loglevel: str = "info"
    words: tuple[str, ...] = ()
    """Those of the daemon's command line that may be options of the app."""
    settings: dict[str, Any] = {}
    """Settings of the app that its receivers in the daemon have changed."""


def load(arg: bytes) -> AppRunner:
    """Import the app that ``arg`` (LoadArgument in msgpack) names.  Raises the pool's LoadError."""
    try:
        return _loaded(msgspec.msgpack.decode(arg, type=LoadArgument))
    except (ConfigError, UsageError) as exc:
        raise LoadError(str(exc), getattr(exc, "traceback", "")) from exc


def _loaded(wanted: LoadArgument) -> AppRunner:
    app = find_app(wanted.app)
    read_preload_options(app, wanted.words)
    app.conf.update(wanted.settings)
    written = take_part(app, wanted.broker or (), wanted.backend, wanted.hostname)
    set_up(wanted.loglevel, alone=app.conf.worker_hijack_root_logger)
    import_modules(app)
    ask_app(wanted.loglevel, hijack=app.conf.worker_hijack_root_logger)
    app.check_safe()
    check_app(app)
    return AppRunner(app, marks_of(app, written))


class AppRunner:
    """Runs jobs of one app."""

    def __init__(self, app: App, marks: dict[str, str] | None = None) -> None:
        self.app, self.marks = app, marks or {}
        self._request: Request | None = None  # as much as is known of it

    def table(self) -> dict[str, Any]:
        """What the supervisor must know of this code.

        ``tasks``: name to options, with the app's limits beside the task's own; ``marks``: see ``app.marks``;
        ``sources``: see ``app.sources``.
        """
        limits = {
            "app_time_limit": self.app.conf.task_time_limit,
            "app_soft_time_limit": self.app.conf.task_soft_time_limit,
        }
        tasks = {
            name: {option: getattr(task, option) for option in TABLE} | limits
            for name, task in self.app.tasks.with_builtin().items()
        }
        return {"tasks": tasks, "marks": self.marks, "sources": own_sources()}

    def child_started(self) -> None:
        """In a new child, before its first job.  Raises what a receiver of ``worker_process_init`` raises."""
        multiprocessing.current_process().name = "child"
        for _, answer in worker_process_init.send(sender=self.app.hostname):
            if isinstance(answer, Exception):
                # Half prepared it would fail one task after the other.
                raise answer

    def child_stopping(self) -> None:
        """In a child that leaves."""
        worker_process_shutdown.send(sender=self.app.hostname, pid=os.getpid(), exitcode=0)
        self.app.close()

    def run(self, job_header: dict[str, Any], body: bytes, report: ChildLink) -> Report:
        """Run the task that ``body`` asks for; returns the outcome's header and the encoded result."""
        job = {"hostname": self.app.hostname, **job_header}
        self._request = None
        try:
            self.app.attach(report)
            return self._run(job, body, report)
        except INTERRUPTIONS as exc:
            # Between two lines of ours, just before the task began or just after it ended.
            shield(report)
            return self._end(ended_by(exc, self._task()))
        finally:
            self.app.attach(None)

    def _run(self, job: dict[str, Any], body: bytes, report: ChildLink) -> Report:
        try:
            incoming = open_payload(body)
            bare = self._request = bare_request(incoming, job)
            request = self._request = with_arguments(bare, incoming, job, self.app.conf.accept_content)
            if (ended := job.get("ended")) is not None:
                return self._tell_end(request, ended)
            task = self.app.tasks[request.task or ""]
            check_followups(self.app, request)
        except INTERRUPTIONS:
            raise
        except Exception as exc:  # noqa: BLE001 (what is wrong with a message fails that message only)
            return self._refuse(exc)
        if self._has_succeeded(task, request):
            logger.info("Task %s[%s] has succeeded before; it does not run again", task.name, request.id)
            return self._end(Run(IGNORED, Ignore()))
        if task.track_started:
            self._tell_started(task, request, report)
        finish, pid = Finish(self.app, task, request), os.getpid()

        def shielded(run: Run) -> Run:
            if os.getpid() != pid:
                forked.leave(run, f"{task.name}[{request.id}]")
            shield(report)
            return finish(run)

        return finish.report(run_call(task, request, shielded))

    def _has_succeeded(self, task: Task, request: Request) -> bool:
        """Only of what comes again, and where the app asks for it: it costs a look at the result backend."""
        app = self.app
        if not (app.conf.worker_deduplicate_successful_tasks and request.delivery_info["redelivered"]):
            return False
        return task.acks_late and app.backend.enabled and app.AsyncResult(request.id or "").successful()

    def _end(self, run: Run) -> Report:
        """Report a run that never came to the task's own code."""
        finish = Finish(self.app, self._task(), self._request or Request(called_directly=False))
        return finish.report(finish(run))

    def _task(self) -> Task | None:
        """The task, if it is known which and there is one."""
        return self.app.tasks.get(self._request.task or "") if self._request is not None else None

    def _tell_end(self, request: Request, ended: dict[str, Any]) -> Report:
        """It has ended without a child: send what follows, and run nothing."""
        finish = Finish(self.app, self._task(), request)
        return finish.report(finish(Run(str(ended["state"]), decode_exception(ended["error"]))))

    def _refuse(self, exc: Exception) -> Report:
        """The outcome of a message that could not be run."""
        run, unregistered = failed(exc), isinstance(exc, NotRegistered)
        run.traceback = None
        if not unregistered:
            tell_not_run(self._task(), self._request or Request(called_directly=False), run)
        header, meta = self._end(run)
        return header | {"refused": True, "unregistered": unregistered}, meta

    def _tell_started(self, task: Task, request: Request, report: ChildLink) -> None:
        ignored = task.ignore_result if request.ignore_result is None else request.ignore_result
        if ignored or not self.app.backend.enabled:
            return
        where = {"pid": os.getpid(), "hostname": request.hostname}
        meta = make_meta(request.id or "", STARTED, where, lineage_of(request))
        report.progress({"state": STARTED, "id": request.id}, self.app.backend.encode(meta))


def shield(report: ChildLink) -> None:
    """Nothing interrupts this run any more; what comes in this very moment comes too late."""
    while True:
        try:
            report.shield()
        except INTERRUPTIONS:
            continue
        return
