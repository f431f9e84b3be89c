"""``workerd start``."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from workerd.cli.app_verb import AppVerb, user_words
from workerd.cli.common import Common, common_options, daemon_options, example, with_options
from workerd.cli.report import reported
from workerd.cli.settings import Duration, layers_of
from workerd.paths import log_file

LOG_VARIABLE = "WORKERD_LOG__PATH"

_EXAMPLE = """
workerd -A proj start
workerd -A proj start --size 2-8 -Q celery,mail --broker redis://localhost:6379/0
"""


_LIMITS = (
    click.option("--time-limit", metavar="TIME", help="Kill the child of a task that runs longer."),
    click.option("--soft-time-limit", metavar="TIME", help="Interrupt a task that runs longer."),
    click.option("--max-tasks-per-child", metavar="N", help="Replace a child after N tasks."),
    click.option("--max-memory-per-child", metavar="SIZE", help="Replace a child with more after a task."),
    click.option("--soft-memory-limit", metavar="SIZE", help="Interrupt a task whose child has more."),
    click.option("--memory-limit", metavar="SIZE", help="Kill a child that has more while it runs a task."),
    click.option("--memory-budget", metavar="SIZE", help="Memory of the whole daemon.  [default: auto]"),
)
"""Each is the setting of its name."""


def limit_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of ``_LIMITS``."""
    return with_options(function, _LIMITS)


_CLUSTER = (
    click.option("-B", "--beat", is_flag=True, help="Send periodic tasks, if no other node does."),
    click.option("-E", "--events", is_flag=True, help="Send events of tasks, for monitors such as Flower."),
    click.option(
        "--without-heartbeat", is_flag=True, help="Send no events that say that this node is there."
    ),
    click.option("--without-gossip", is_flag=True, help="Do not follow which other nodes there are."),
    click.option("--without-mingle", is_flag=True, help="Do not exchange revoked ids with other nodes."),
)
_MEANS: Mapping[str, tuple[str, Any]] = {
    "beat": ("beat.enabled", True),
    "events": ("cluster.events", True),
    "without_heartbeat": ("cluster.heartbeat", 0),
    "without_gossip": ("cluster.gossip", False),
    "without_mingle": ("cluster.mingle", False),
}
"""The setting that each of those flags stands for."""


def cluster_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of ``_CLUSTER``."""
    return with_options(function, _CLUSTER)


_PROCESS = (
    click.option("--uid", "user", metavar="USER", help="The user to run as, where root starts it."),
    click.option("--gid", "group", metavar="GROUP", help="The group.  [default: that user's]"),
    click.option("--chdir", metavar="DIR", help="The directory to work in, where -A finds the app."),
    click.option("--pidfile", metavar="FILE", help="A file for the daemon's pid."),
)
"""Each is the setting of its parameter's name."""


def process_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of ``_PROCESS``."""
    return with_options(function, _PROCESS)


_SEEN = (
    click.option("-f", "--logfile", metavar="FILE", help="Log to this file.  [default: stderr]"),
    click.option(
        "--log-format",
        type=click.Choice(("auto", "text", "json"), case_sensitive=False),
        help="How the log looks.  [default: auto: text that fits a terminal, the journal or a file]",
    ),
    click.option("--http", metavar="HOST:PORT", help="Serve health and metrics there.  [default: nowhere]"),
)
_SEEN_KEYS = {"logfile": "log.path", "log_format": "log.format", "http": "http"}
"""The settings of those."""


def seen_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of ``_SEEN``."""
    return with_options(function, _SEEN)


@click.command(cls=AppVerb, kind="worker", epilog=example(_EXAMPLE))
@common_options
@daemon_options
@limit_options
@cluster_options
@process_options
@click.option("-D", "--detach", is_flag=True, help="Run in the background; return when it serves.")
@seen_options
@click.option("--drain-timeout", type=Duration(), help="Longest drain at a stop.  [default: 10m]")
@click.option("--watch", is_flag=True, help="Reload when the app's own files change.  [extra: dev]")
@click.option(
    "--dry", is_flag=True, help="Read all as for a start, and start nothing; silent when it is well."
)
def command(
    common: Common, drain_timeout: float | None, watch: bool, dry: bool, detach: bool, **others: Any
) -> int:
    """Run a daemon in the foreground, or with --detach in the background.

    It ends by itself only for an error; stop it with `workerd stop`, Ctrl-C or SIGTERM, which all drain.
    """
    # Half a second of imports, which `workerd start --help` does without.
    from workerd.transport.urls import check_urls  # noqa: PLC0415
    from workerd.worker import run_daemon  # noqa: PLC0415
    from workerd.worker.life.again import follows  # noqa: PLC0415

    own: dict[str, Any] = {"drain.timeout": drain_timeout, "watch": watch or None}
    own |= {key: others.pop(flag) for flag, key in _SEEN_KEYS.items()}
    own |= {_MEANS[flag][0]: _MEANS[flag][1] for flag in _MEANS if others.pop(flag)}
    layers = layers_of(common, **own, **others)
    check_urls(layers.config(), layers.source)
    words = user_words(click.get_current_context())
    if dry or not detach or follows():
        return run_daemon(layers, words, dry=dry)
    from workerd.cli.detach import detached  # noqa: PLC0415

    config = layers.config()
    if not config.log.path:
        # For the image after a restart too, which may be another user's and would look elsewhere.
        os.environ[LOG_VARIABLE] = str(log_file(config.name))
        layers = layers_of(common, **own, **others)
        config = layers.config()
    log = Path(config.chdir, config.log.path).absolute()
    return detached(config.name, log, lambda: reported(common.debug, lambda: run_daemon(layers, words)))
