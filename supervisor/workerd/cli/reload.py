"""``workerd reload``."""

from __future__ import annotations

import click

from workerd.cli.common import Common, common_options, example


@click.command(epilog=example("workerd reload"))
@common_options
def command(common: Common) -> None:
    """Load the app anew while the old code ends its tasks.

    Waits until the new code serves.  Code that cannot be imported is shown with its traceback (exit 1), and
    the old code goes on serving.  Changed steps or options need `workerd restart`.
    """
    stream = common.client().stream("reload")
    for fact in stream:
        click.echo(str(fact["event"]))
    click.echo(f"reloaded: {stream.value['message']}")
