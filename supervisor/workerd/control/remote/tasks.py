"""The commands that act on tasks: names, arguments and answers are Celery's."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Collection
from typing import Any

import msgspec

from workerd.control.daemon import Daemon
from workerd.control.registry import Remote, Request
from workerd.control.remote.making import BROKER, remote_command
from workerd.errors import UsageError

logger = logging.getLogger(__name__)

Answer = dict[str, Any]

TERM, KILL = frozenset({"TERM", "SIGTERM", "15"}), frozenset({"KILL", "SIGKILL", "9"})


class Revoke(msgspec.Struct):
    """``signal``: TERM interrupts, KILL kills; only with ``terminate``."""

    task_id: list[str] | str | None = None
    terminate: bool | None = None
    signal: str | int | None = None


class Terminate(msgspec.Struct):
    """As ``Revoke`` with ``terminate``."""

    task_id: list[str] | str
    signal: str | int | None = None


class Stamped(msgspec.Struct):
    """``headers``: values by header, or ``header=value`` each."""

    headers: dict[str, Any] | list[str]
    terminate: bool | None = None
    signal: str | int | None = None


class RateLimit(msgspec.Struct):
    """``rate_limit``: ``10/m``, a number for each second, or nothing for no limit."""

    task_name: str
    rate_limit: str | float | int | None = None


class TimeLimit(msgspec.Struct):
    """Seconds; None for what the task has of itself."""

    task_name: str | None = None
    soft: float | None = None
    hard: float | None = None


@remote_command(Remote("control", signature="ID ...", variadic="task_id"), Revoke, text="run no such tasks")
def revoke(daemon: Daemon, request: Request[Revoke]) -> Answer:
    args = request.args
    kill = kills(args.signal)
    ids = _several(args.task_id)
    daemon.node.revoke(ids)
    if args.terminate:
        return _terminated(daemon.node.terminate(ids, kill))
    logger.info("Tasks flagged as revoked: %s", ", ".join(ids))
    return {"ok": f"tasks {set(ids)} flagged as revoked"}


@remote_command(
    Remote("control", signature="SIGNAL ID ...", positional=(("signal", str),), variadic="task_id"),
    Terminate,
    doors=BROKER,
    text="end tasks: TERM interrupts them, KILL kills their children",
)
def terminate(daemon: Daemon, request: Request[Terminate]) -> Answer:
    kill = kills(request.args.signal)
    ids = _several(request.args.task_id)
    daemon.node.revoke(ids)
    return _terminated(daemon.node.terminate(ids, kill))


def _terminated(ids: Collection[str]) -> Answer:
    return {"ok": f"terminate: {', '.join(ids) if ids else 'tasks unknown'}"}


@remote_command(
    Remote("control", signature="HEADER=VALUE ...", variadic="headers"),
    Stamped,
    text="run nothing that bears these stamps",
)
def revoke_by_stamped_headers(daemon: Daemon, request: Request[Stamped]) -> Answer:
    args, node = request.args, daemon.node
    kill = kills(args.signal)
    headers = args.headers if isinstance(args.headers, dict) else _pairs(args.headers)
    stamps = {name: _values(value) for name, value in headers.items()}
    node.revoke_stamped(stamps)
    if not args.terminate:
        return {"ok": f"headers {headers} flagged as revoked, but not terminated"}
    ended: defaultdict[str, set[Any]] = defaultdict(set)
    for task_id, borne in node.stamped(stamps).items():
        node.terminate([task_id], kill)
        for name, values in borne.items():
            ended[name] |= values
    return {"ok": f"headers {ended} revoked" if ended else f"headers {headers} were not terminated"}


def _pairs(words: list[str]) -> dict[str, str]:
    pairs = [word.partition("=") for word in words]
    if wrong := [name for name, equals, _ in pairs if not equals]:
        raise UsageError(f"{wrong[0]!r} is no header with a value", "write header=value")
    return {name: value for name, _, value in pairs}


@remote_command(
    Remote("control", signature="TASK RATE", positional=(("task_name", str), ("rate_limit", str))),
    RateLimit,
    text="begin not more runs of a task in a time: 10/s, 100/m, 5/h",
)
def rate_limit(daemon: Daemon, request: Request[RateLimit]) -> Answer:
    task, rate = request.args.task_name, request.args.rate_limit
    if task not in daemon.node.tasks():
        return {"error": "unknown task"}
    try:
        daemon.node.rate_limit(task, rate)
    except UsageError as exc:
        return {"error": f"Invalid rate limit string: {exc}"}
    if not rate:
        logger.info("Rate limits disabled for tasks of type %s", task)
        return {"ok": "rate limit disabled successfully"}
    logger.info("New rate limit for tasks of type %s: %s.", task, rate)
    return {"ok": "new rate limit set successfully"}


@remote_command(
    Remote(
        "control",
        signature="TASK SOFT [HARD]",
        positional=(("task_name", str), ("soft", float), ("hard", float)),
    ),
    TimeLimit,
    text="change the time limits of a task, in seconds",
)
def time_limit(daemon: Daemon, request: Request[TimeLimit]) -> Answer:
    args = request.args
    if args.task_name is None or args.task_name not in daemon.node.tasks():
        return {"error": "unknown task"}
    daemon.node.time_limit(args.task_name, args.soft, args.hard)
    return {"ok": "time limits set successfully"}


TASKS = (revoke, terminate, revoke_by_stamped_headers, rate_limit, time_limit)


def kills(signal: str | int | None) -> bool:
    """Whether ``signal`` kills at once.  Errors: UsageError for one that is neither TERM nor KILL."""
    name = "TERM" if signal is None or signal == "" else str(signal).upper()
    if name not in TERM | KILL:
        raise UsageError(f"signal {signal!r} is not sent to tasks", "TERM interrupts, KILL kills")
    return name in KILL


def _several(ids: list[str] | str | None) -> list[str]:
    found = [ids] if isinstance(ids, str) else (ids or [])
    return list(dict.fromkeys(found))


def _values(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple, set)) else [value]
