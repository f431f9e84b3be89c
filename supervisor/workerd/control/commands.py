"""The commands that every daemon has."""

from __future__ import annotations

import os
from typing import Annotated, Any

import msgspec

from workerd.config.model import DEFAULT_POOL
from workerd.control.daemon import Daemon, Fact
from workerd.control.registry import LATER, Later, NoArguments, Registry, Request, command
from workerd.control.remote.cluster import CLUSTER
from workerd.control.remote.inspect import INSPECT
from workerd.control.remote.pools import POOLS
from workerd.control.remote.tasks import TASKS
from workerd.errors import WorkerdError

Seconds = Annotated[float, msgspec.Meta(ge=0)]


class Stop(msgspec.Struct, forbid_unknown_fields=True):
    """``timeout``: seconds for the drain, None as configured; ``now``: no drain, kill."""

    timeout: float | None = None
    now: bool = False


class Reload(msgspec.Struct, forbid_unknown_fields=True):
    """``wait``: until no older child is left."""

    wait: bool = False


class Scale(msgspec.Struct, forbid_unknown_fields=True):
    """``spec``: ``8``, ``+2``, ``-1`` or ``2-8``; ``dry_run``: change nothing."""

    spec: str
    pool: str = DEFAULT_POOL
    dry_run: bool = False


class Limit(msgspec.Struct, forbid_unknown_fields=True):
    """``soft`` and ``hard`` in seconds, ``rate`` as ``10/m``: 0 is no limit; ``reset``: as if never set."""

    task: str
    soft: Seconds | None = None
    hard: Seconds | None = None
    rate: str | float | None = None
    reset: bool = False


class Terminate(msgspec.Struct, forbid_unknown_fields=True):
    """``kill``: at once, without an interruption before."""

    id: str
    kill: bool = False


@command("ping", NoArguments, text="say that the daemon answers, with its pid")
def ping(daemon: Daemon, request: Request[NoArguments]) -> dict[str, Any]:
    return {"pid": os.getpid(), "incarnation": request.incarnation}


@command("status", NoArguments, text="tell how the daemon is")
def status(daemon: Daemon, request: Request[NoArguments]) -> dict[str, Any]:
    return daemon.status() | {"incarnation": request.incarnation}


@command("health", NoArguments, text="tell whether the daemon gets on, and whether it runs tasks")
def health(daemon: Daemon, request: Request[NoArguments]) -> dict[str, Any]:
    return daemon.health()


@command("metrics", NoArguments, text="tell what metrics are made of")
def metrics(daemon: Daemon, request: Request[NoArguments]) -> dict[str, Any]:
    return daemon.metrics()


@command("stop", Stop, changes=True, text="drain and stop")
def stop(daemon: Daemon, request: Request[Stop]) -> dict[str, Any] | Later:
    reply = request.reply
    if not request.stream:
        daemon.ask_stop(request.args.now, request.args.timeout)
        return {"pid": os.getpid()}

    def told(fact: Fact) -> None:
        if fact["event"] == "stopped":
            reply.answer({"pid": os.getpid(), "code": fact["code"]})
        else:
            reply.event(fact)

    reply.event({"event": "stopping", "pid": os.getpid()})
    reply.on_end(daemon.subscribe(told))
    daemon.ask_stop(request.args.now, request.args.timeout)
    return LATER


@command("reload", Reload, changes=True, text="load the app anew; the old code ends its tasks")
def reload(daemon: Daemon, request: Request[Reload]) -> Later:
    reply = request.reply

    def done(ok: bool, message: str, traceback: str) -> None:
        if ok:
            reply.answer({"message": message})
        else:
            reply.fail(WorkerdError(message), traceback)

    def told(fact: Fact) -> None:
        if fact["event"] == "older":
            reply.event(fact)

    if request.stream:
        reply.on_end(daemon.subscribe(told))
    daemon.ask_reload(done, request.args.wait)
    return LATER


@command("restart", NoArguments, changes=True, text="drain, then start the daemon's new code")
def restart(daemon: Daemon, request: Request[NoArguments]) -> dict[str, Any] | Later:
    reply = request.reply
    accepted = {"event": "restarting", "pid": os.getpid(), "incarnation": request.incarnation}
    if not request.stream:
        daemon.ask_restart()
        return accepted

    def told(fact: Fact) -> None:
        if fact["event"] == "restart-failed":
            error = WorkerdError(
                str(fact.get("error", "the new code does not start")), "the old code goes on"
            )
            reply.fail(error, str(fact.get("traceback", "")))
        else:
            reply.event(fact)

    reply.event(accepted)
    reply.on_end(daemon.subscribe(told))
    daemon.ask_restart()
    return LATER


@command("scale", Scale, changes=True, text="change the number of slots of a pool")
def scale(daemon: Daemon, request: Request[Scale]) -> dict[str, Any]:
    return daemon.scale(request.args.spec, request.args.pool, request.args.dry_run)


@command("limit", Limit, changes=True, text="change the limits of a task")
def limit(daemon: Daemon, request: Request[Limit]) -> dict[str, Any]:
    args = request.args
    return daemon.limit(args.task, args.soft, args.hard, args.rate, args.reset)


@command("terminate", Terminate, changes=True, text="end a task by its id")
def terminate(daemon: Daemon, request: Request[Terminate]) -> dict[str, Any]:
    return daemon.terminate(request.args.id, request.args.kill)


@command("reopen", NoArguments, changes=True, text="open the log file anew")
def reopen(daemon: Daemon, request: Request[NoArguments]) -> dict[str, Any]:
    return daemon.reopen_log()


def builtin_commands() -> Registry:
    """A registry of its own with the commands above and those of remote control."""
    own = (ping, status, health, metrics, stop, reload, restart, scale, limit, terminate, reopen)
    return Registry([*own, *INSPECT, *TASKS, *POOLS, *CLUSTER])
