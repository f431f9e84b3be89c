"""``workerd status``."""

from __future__ import annotations

import json

import click

from workerd.cli.common import Common, common_options, example
from workerd.cli.table import lines


@click.command(epilog=example("workerd status\nworkerd status --json"))
@common_options
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
def command(common: Common, as_json: bool) -> None:
    """Show how a daemon is: its state, broker link, pools and tasks."""
    found = common.client().call("status", patience=5.0)
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    click.echo("\n".join(lines(found)))
