"""``workerd start``."""

from __future__ import annotations

import click

from workerd.cli.common import Common, common_options, daemon_options, example
from workerd.cli.settings import Duration, layers_of
from workerd.transport.urls import check_urls
from workerd.worker import run_daemon

_EXAMPLE = """
workerd -A proj start
workerd -A proj start --size 2-8 -Q celery,mail --broker redis://localhost:6379/0
"""


@click.command(epilog=example(_EXAMPLE))
@common_options
@daemon_options
@click.option("--drain-timeout", type=Duration(), help="Longest drain at a stop.  [default: 10m]")
@click.option("--max-tasks-per-child", metavar="N", help="Replace a child after N tasks.")
@click.option("--max-memory-per-child", metavar="SIZE", help="Replace a child that has more after a task.")
@click.option("--memory-budget", metavar="SIZE", help="Memory of the whole daemon.  [default: auto]")
@click.option("--dry", is_flag=True, help="Read and check everything as for a start, and start nothing.")
def command(
    common: Common,
    drain_timeout: float | None,
    max_tasks_per_child: str | None,
    max_memory_per_child: str | None,
    memory_budget: str | None,
    dry: bool,
) -> int:
    """Run a daemon in the foreground.

    It ends by itself only for an error; stop it with `workerd stop`, Ctrl-C or SIGTERM, which all drain.
    """
    flags = {
        "drain.timeout": drain_timeout,
        "max_tasks_per_child": max_tasks_per_child,
        "max_memory_per_child": max_memory_per_child,
        "memory_budget": memory_budget,
    }
    layers = layers_of(common, **flags)
    check_urls(layers.config(), layers.source)
    return run_daemon(layers, dry=dry)
