"""``workerd result``."""

from __future__ import annotations

import click

from workerd.cli.clientapp import client_app
from workerd.cli.common import Common, common_options, example
from workerd.cli.outcome import TIMEOUT, not_ended, print_outcome
from workerd.cli.settings import Duration, Word

_EXAMPLE = """
workerd result 4f2a6c1e-0f0b-4d0e-9a53-6a1ba8c7c0de
workerd result 4f2a6c1e-0f0b-4d0e-9a53-6a1ba8c7c0de --timeout 10m --traceback
"""


@click.command(epilog=example(_EXAMPLE))
@common_options
@click.argument("task_id", metavar="ID", type=Word())
@click.option("--wait/--no-wait", default=True, help="Wait for the end of the task.  [default: wait]")
@click.option("--timeout", type=Duration(), default=TIMEOUT, help="How long to wait.  [default: 60s]")
@click.option("--traceback", is_flag=True, help="Show the traceback of a failure, too.")
def command(common: Common, task_id: str, wait: bool, timeout: float, traceback: bool) -> int:
    """Print the value that the call ID has returned, as JSON.

    Exit 1 with the exception on stderr when the task has failed, 69 when it has not ended in time.
    """
    with client_app(common) as app:
        result = app.AsyncResult(task_id)
        if not wait and not result.ready():
            raise not_ended(result)
        return print_outcome(result, timeout, traceback=traceback)
