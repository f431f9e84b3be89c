"""The app's side of a pool child: what the template loads, and how a child runs one job.

Errors:  ``load`` raises LoadError with what an operator needs; ``run`` raises nothing that a task does.
"""

from __future__ import annotations

import multiprocessing
import os
from typing import Any

import msgspec

from workerd.app import forked
from workerd.app.base import App
from workerd.app.followups import check_supported
from workerd.app.loader import find_app, import_modules
from workerd.app.logs import set_up
from workerd.app.marks import marks_of
from workerd.app.outcome import Finish
from workerd.app.receiving import bare_request, request_from
from workerd.app.reporting import ChildLink, lineage_of
from workerd.app.request import Request
from workerd.app.selfcheck import check_app
from workerd.app.sources import own_sources
from workerd.app.task import Task
from workerd.app.trace import Run, ended_by, failed, run_call
from workerd.errors import ConfigError
from workerd.protocol.exceptions import NotRegistered
from workerd.protocol.incoming import open_payload
from workerd.protocol.result import make_meta
from workerd.protocol.states import STARTED
from workerd.signals import worker_process_init, worker_process_shutdown
from workerd_pool import INTERRUPTIONS, LoadError

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


def load(arg: bytes) -> AppRunner:
    """Import the app that ``arg`` (LoadArgument in msgpack) names.  Raises the pool's LoadError."""
    try:
        return _loaded(msgspec.msgpack.decode(arg, type=LoadArgument))
    except ConfigError as exc:
        raise LoadError(str(exc), getattr(exc, "traceback", "")) from exc


def _loaded(wanted: LoadArgument) -> AppRunner:
    app = find_app(wanted.app)
    defaults = app.daemon_defaults()
    written = {name: defaults.get(name) for name in ("broker", "backend")}
    if wanted.broker:
        app.conf.broker_url = wanted.broker
        # Children publish where their messages come from.
        del app.conf.broker_read_url, app.conf.broker_write_url
    if wanted.backend is not None:
        app.conf.result_backend = wanted.backend or "disabled"
    app.hostname = wanted.hostname or app.hostname
    set_up(wanted.loglevel)
    import_modules(app)
    app.check_safe()
    check_app(app)
    return AppRunner(app, marks_of(app, written))


class AppRunner:
    """Runs jobs of one app."""

    def __init__(self, app: App, marks: dict[str, str] | None = None) -> None:
        self.app, self.marks = app, marks or {}
        self._request = Request(called_directly=False)

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
            for name, task in self.app.tasks.items()
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
        self._request = Request(called_directly=False)
        try:
            self.app.attach(report)
            return self._run(job, body, report)
        except INTERRUPTIONS as exc:
            # Between two lines of ours, just before the task began or just after it ended.
            shield(report)
            return self._end(ended_by(exc, self.app.tasks.get(self._request.task or "")))
        finally:
            self.app.attach(None)

    def _run(self, job: dict[str, Any], body: bytes, report: ChildLink) -> Report:
        try:
            incoming = open_payload(body)
            self._request = bare_request(incoming, job)
            request = self._request = request_from(incoming, job, self.app.conf.accept_content)
            task = self.app.tasks[request.task or ""]
            check_supported(request)
        except INTERRUPTIONS:
            raise
        except Exception as exc:  # noqa: BLE001 (what is wrong with a message fails that message only)
            return self._refuse(exc)
        if task.track_started:
            self._tell_started(task, request, report)
        finish, pid = Finish(self.app, task, request), os.getpid()

        def shielded(run: Run) -> Run:
            if os.getpid() != pid:
                forked.leave(run, f"{task.name}[{request.id}]")
            shield(report)
            return finish(run)

        return finish.report(run_call(task, request, shielded))

    def _end(self, run: Run) -> Report:
        """Report a run that never came to the task's own code."""
        finish = Finish(self.app, self.app.tasks.get(self._request.task or ""), self._request)
        return finish.report(finish(run))

    def _refuse(self, exc: Exception) -> Report:
        """The outcome of a message that could not be run."""
        run = failed(exc)
        run.traceback = None
        header, meta = self._end(run)
        return header | {"refused": True, "unregistered": isinstance(exc, NotRegistered)}, meta

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
