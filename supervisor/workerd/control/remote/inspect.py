"""The commands that look and change nothing: names, arguments and answers are Celery's."""

from __future__ import annotations

from typing import Any

import msgspec

from workerd.control.daemon import Daemon
from workerd.control.registry import NoArguments, Remote, Request
from workerd.control.remote.making import BROKER, remote_command
from workerd.control.remote.shapes import scheduled_info, task_info
from workerd.delivery import Stage
from workerd.errors import UsageError

MOST_LISTED = 1000
"""Tasks of one kind that one answer tells of."""

RESERVED = (Stage.RESERVED, Stage.LIMITED, Stage.ACKNOWLEDGING)

TASK_ATTRIBUTES = ("exchange", "routing_key", "rate_limit")
"""What ``registered`` shows of a task when nothing else is asked for, if it has it."""


class Anything(msgspec.Struct):
    """No arguments; what is given nevertheless is ignored, as Celery does for these."""


class Safe(msgspec.Struct):
    """``safe``: arguments as text."""

    safe: bool | None = None


class Ids(msgspec.Struct):
    """One id or several."""

    ids: list[str] | str


class TaskInfo(msgspec.Struct):
    """``taskinfoitems``: names of attributes; ``builtins``: also the tasks of Celery itself."""

    taskinfoitems: list[Any] | None = None
    builtins: bool | None = None


class WithDefaults(msgspec.Struct):
    """``with_defaults``: also what was not changed."""

    with_defaults: bool | None = None


class Hello(msgspec.Struct):
    """``revoked``: ids, or (Celery 5.6) ids with times."""

    from_node: str
    revoked: list[Any] | dict[str, Any] | None = None


class Samples(msgspec.Struct):
    """``samples``: how many."""

    samples: int | None = None


@remote_command(
    Remote("inspect", timeout=0.2), Anything, name="ping", doors=BROKER, text="say that the node answers"
)
def ping(daemon: Daemon, request: Request[Anything]) -> dict[str, Any]:
    return {"ok": "pong"}


@remote_command(Remote("inspect", "dump_active"), Safe, text="list the tasks that run")
def active(daemon: Daemon, request: Request[Safe]) -> list[dict[str, Any]]:
    node, safe = daemon.node, bool(request.args.safe)
    return [task_info(one, node.hostname, safe) for one in node.held(Stage.RUNNING)]


@remote_command(Remote("inspect", "dump_reserved"), Anything, text="list the tasks that wait for a slot")
def reserved(daemon: Daemon, request: Request[Anything]) -> list[dict[str, Any]]:
    node = daemon.node
    waiting = [one for stage in RESERVED for one in node.held(stage)]
    return [task_info(one, node.hostname) for one in waiting[:MOST_LISTED]]


@remote_command(Remote("inspect", "dump_schedule"), Anything, text="list the tasks that wait for their ETA")
def scheduled(daemon: Daemon, request: Request[Anything]) -> list[dict[str, Any]]:
    node = daemon.node
    return [scheduled_info(one, node.hostname) for one in node.held(Stage.SCHEDULED)[:MOST_LISTED]]


@remote_command(Remote("inspect", "dump_revoked"), Anything, text="list the ids that will not be run")
def revoked(daemon: Daemon, request: Request[Anything]) -> list[str]:
    return daemon.node.revoked()


@remote_command(
    Remote("inspect", "dump_tasks", signature="[ATTRIBUTE ...]", variadic="taskinfoitems"),
    TaskInfo,
    text="list the tasks that can be run, with these attributes",
)
def registered(daemon: Daemon, request: Request[TaskInfo]) -> list[str]:
    wanted = request.args.taskinfoitems or TASK_ATTRIBUTES
    shown = [name for name in wanted if isinstance(name, str) and not name.startswith("_")]
    tasks = daemon.node.tasks()
    names = [name for name in tasks if request.args.builtins or not name.startswith("celery.")]
    return [_described(name, tasks[name], shown) for name in sorted(names)]


def _described(name: str, task: Any, shown: list[str]) -> str:
    found = {item: getattr(task, item, None) for item in shown}
    text = " ".join(f"{item}={value}" for item, value in found.items() if value is not None)
    return f"{name} [{text}]" if text else name


@remote_command(Remote("inspect"), Anything, text="tell numbers of the node, its broker and its pool")
def stats(daemon: Daemon, request: Request[Anything]) -> dict[str, Any]:
    return daemon.node.stats()


@remote_command(Remote("inspect"), Anything, text="list the queues that are consumed")
def active_queues(daemon: Daemon, request: Request[Anything]) -> list[dict[str, Any]]:
    return daemon.node.queues()


@remote_command(
    Remote("inspect", signature="ID ...", variadic="ids"), Ids, text="tell how far tasks have come"
)
def query_task(daemon: Daemon, request: Request[Ids]) -> dict[str, Any]:
    node, ids = daemon.node, request.args.ids
    found = node.with_ids([ids] if isinstance(ids, str) else ids)
    return {one.id: [_STATES.get(one.stage, "ready"), task_info(one, node.hostname)] for one in found}


_STATES = {
    Stage.RUNNING: "active",
    **dict.fromkeys(RESERVED, "reserved"),
    Stage.SCHEDULED: "scheduled",
}


@remote_command(
    Remote("inspect", "dump_conf", signature="[WITH_DEFAULTS]", positional=(("with_defaults", bool),)),
    WithDefaults,
    text="tell the app's settings, without secrets",
)
def conf(daemon: Daemon, request: Request[WithDefaults]) -> dict[str, Any]:
    return daemon.node.conf(bool(request.args.with_defaults))


@remote_command(Remote("inspect"), Anything, text="tell the logical clock")
def clock(daemon: Daemon, request: Request[Anything]) -> dict[str, Any]:
    return {"clock": daemon.node.clock.value}


@remote_command(Remote("inspect"), NoArguments, text="tell versions and settings, for reports of problems")
def report(daemon: Daemon, request: Request[NoArguments]) -> dict[str, Any]:
    return {"ok": daemon.node.report()}


@remote_command(Remote("inspect"), Anything, text="tell the memory of the supervisor")
def memsample(daemon: Daemon, request: Request[Anything]) -> str:
    return daemon.node.memory()


@remote_command(
    Remote("inspect", signature="[SAMPLES]", positional=(("samples", int),)),
    Samples,
    text="tell the memory of the supervisor, as text",
)
def memdump(daemon: Daemon, request: Request[Samples]) -> str:
    return f"supervisor: rss {daemon.node.memory()}; no earlier samples are kept\n"


@remote_command(
    Remote(
        "inspect",
        timeout=60.0,
        signature="[TYPE [NUMBER [DEPTH]]]",
        positional=(("type", str), ("num", int), ("max_depth", int)),
    ),
    Anything,
    text="not supported: a supervisor holds no objects of tasks",
)
def objgraph(daemon: Daemon, request: Request[Anything]) -> dict[str, Any]:
    raise UsageError("objgraph is not supported", "the supervisor holds no objects of tasks; see memsample")


@remote_command(Remote("inspect", visible=False), Hello, text="exchange clocks and revoked ids")
def hello(daemon: Daemon, request: Request[Hello]) -> dict[str, Any] | None:
    node = daemon.node
    if request.args.from_node == node.hostname:
        return None
    if request.args.revoked:
        node.merge_revoked([str(one) for one in request.args.revoked])
    return {"revoked": node.revoked(), "clock": node.clock.forward()}


INSPECT = (
    ping,
    active,
    reserved,
    scheduled,
    revoked,
    registered,
    stats,
    active_queues,
    query_task,
    conf,
    clock,
    report,
    memsample,
    memdump,
    objgraph,
    hello,
)
