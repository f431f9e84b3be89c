"""``workerd reload``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from workerd.cli.common import Common, common_options, example


@click.command(epilog=example("workerd reload\nworkerd reload --wait"))
@common_options
@click.option("--wait", is_flag=True, help="Wait also for children that still run a task in the old code.")
def command(common: Common, wait: bool) -> None:
    """Load the app anew while the old code ends its tasks.

    Waits until the new code serves in every child that has no task. Code that cannot be imported, or whose
    children do not start, is shown with its traceback (exit 1), and the old code goes on serving. Changed
    steps and options are named; they need `workerd restart`.
    """
    stream = common.client().stream("reload", wait=wait)
    last = ""
    for fact in stream:
        if (line := sentence(fact)) != last:
            click.echo(line, err=True)
            last = line
    click.echo(f"reloaded: {stream.value['message']}")


def sentence(fact: Mapping[str, Any]) -> str:
    """Who still runs the old code."""
    count, titles = fact["children"], ", ".join(fact["waiting_for"])
    text = f"waiting for {count} older child{'ren' * (count != 1)}"
    return f"{text}: {titles}" if titles else text
