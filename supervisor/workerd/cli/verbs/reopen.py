"""``workerd reopen``."""

from __future__ import annotations

import click

from workerd.cli.common import Common, common_options, example
from workerd.errors import WorkerdError


@click.command(epilog=example("workerd reopen\nworkerd reopen --name mail"))
@common_options
def command(common: Common) -> None:
    """Open the log file anew, after it was moved away.

    A daemon sees by itself that its file was moved, when it has something to log; this does it now. Without a
    log file (`--logfile`) it changes nothing.
    """
    found = common.client().call("reopen")
    if found["problem"]:
        raise WorkerdError(
            f"{found['file']} cannot be opened anew: {found['problem']}", "the old file is kept"
        )
    click.echo(found["file"] or "no log file: the log goes to stderr, or where the app has it")
