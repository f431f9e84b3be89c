"""``workerd start``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from workerd.cli.common import Common, common_options, daemon_options, example, with_options
from workerd.cli.settings import Duration, layers_of
from workerd.transport.urls import check_urls
from workerd.worker import run_daemon

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


@click.command(epilog=example(_EXAMPLE))
@common_options
@daemon_options
@limit_options
@click.option("--drain-timeout", type=Duration(), help="Longest drain at a stop.  [default: 10m]")
@click.option("--watch", is_flag=True, help="Reload when the app's own files change.  [extra: dev]")
@click.option(
    "--dry", is_flag=True, help="Read all as for a start, and start nothing; silent when it is well."
)
def command(common: Common, drain_timeout: float | None, watch: bool, dry: bool, **limits: str | None) -> int:
    """Run a daemon in the foreground.

    It ends by itself only for an error; stop it with `workerd stop`, Ctrl-C or SIGTERM, which all drain.
    """
    layers = layers_of(common, **{"drain.timeout": drain_timeout, "watch": watch or None}, **limits)
    check_urls(layers.config(), layers.source)
    return run_daemon(layers, dry=dry)
