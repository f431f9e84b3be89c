"""The commands about events, elections and the end of the node: names, arguments and answers are Celery's."""

from __future__ import annotations

import logging
from typing import Any

import msgspec

from workerd.control.daemon import Daemon
from workerd.control.registry import LATER, Later, NoArguments, Remote, Request
from workerd.control.remote.making import BROKER, remote_command

logger = logging.getLogger(__name__)

Answer = dict[str, Any]


class Election(msgspec.Struct):
    """``topic`` says what ``action`` is for."""

    id: str
    topic: str
    action: Any = None


class Shutdown(msgspec.Struct):
    """``msg``: for the log."""

    msg: str | None = None


@remote_command(Remote("control"), NoArguments, text="send events of tasks")
def enable_events(daemon: Daemon, request: Request[NoArguments]) -> Answer:
    return _events(daemon, True, "enabled")


@remote_command(Remote("control"), NoArguments, text="send no events of tasks")
def disable_events(daemon: Daemon, request: Request[NoArguments]) -> Answer:
    return _events(daemon, False, "disabled")


def _events(daemon: Daemon, on: bool, word: str) -> Answer:
    changed = daemon.node.task_events(on)
    if changed:
        logger.info("Events of group {task} %s by remote.", word)
    return {"ok": f"task events {word}" if changed else f"task events already {word}"}


@remote_command(Remote("control"), NoArguments, text="send an event that says that the node is there")
def heartbeat(daemon: Daemon, request: Request[NoArguments]) -> None:
    daemon.node.heartbeat()


@remote_command(
    Remote(
        "control",
        signature="ID TOPIC [ACTION]",
        positional=(("id", str), ("topic", str), ("action", str)),
    ),
    Election,
    text="hold an election",
)
def election(daemon: Daemon, request: Request[Election]) -> None:
    daemon.node.election(request.args.id, request.args.topic, request.args.action)


@remote_command(Remote("control"), Shutdown, doors=BROKER, text="drain and stop")
def shutdown(daemon: Daemon, request: Request[Shutdown]) -> Later:
    logger.warning("%s", request.args.msg or "Got shutdown from remote")
    daemon.ask_stop(False, None)
    return LATER  # Celery's workers give no answer, and nobody waits for one


CLUSTER = (enable_events, disable_events, heartbeat, election, shutdown)
