"""``workerd scale``."""

from __future__ import annotations

import click

from workerd.cli.common import Common, common_options, example
from workerd.cli.table import counted

_EXAMPLE = """
workerd scale 8
workerd scale +2
workerd scale 2-8
"""


@click.command(epilog=example(_EXAMPLE), context_settings={"ignore_unknown_options": True})
@common_options
@click.argument("spec")
def command(common: Common, spec: str) -> None:
    """Change the number of slots: SPEC is 8, +2, -1 or 2-8.

    Children that hold a task end it first.
    """
    size = common.client().call("scale", spec=spec)
    bounds = f"{size['lower']}-{size['upper']}" if size["lower"] != size["upper"] else f"{size['lower']}"
    click.echo(f"size {bounds}: {counted(size['wanted'], 'slot')} wanted, {size['was']} before")
