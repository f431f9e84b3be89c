"""``workerd version``."""

from __future__ import annotations

import click

import workerd
from workerd.cli.common import Common, common_options, example


@click.command(epilog=example("workerd version"))
@common_options
def command(common: Common) -> None:
    """Print the version."""
    click.echo(f"workerd {workerd.__version__}")
