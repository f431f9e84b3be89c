"""``workerd health``."""

from __future__ import annotations

import json

import click

from workerd.cli.common import Common, common_options, example
from workerd.errors import ExitCode

PATIENCE = 5.0
"""Seconds; a daemon whose loop turns answers within some milliseconds."""


@click.command(epilog=example("workerd health\nworkerd health --live --name mail"))
@common_options
@click.option("--live", "what", flag_value="live", help="Whether it gets on, also without a broker.")
@click.option("--ready", "what", flag_value="ready", default=True, help="Whether it runs tasks.  [default]")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
def command(common: Common, what: str, as_json: bool) -> int:
    """Say whether a daemon is well: exit code 0 if it is, 1 if not, 69 if none answers.

    For probes: it loads no app, and answers while every child is busy.
    """
    found = common.client().call("health", patience=PATIENCE)
    if as_json:
        click.echo(json.dumps(found))
    else:
        click.echo(what if found[what] else f"not {what}: {'; '.join(found['reasons'])}")
    return int(ExitCode.OK if found[what] else ExitCode.FAILED)
