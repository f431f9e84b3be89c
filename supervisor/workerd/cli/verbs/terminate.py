"""``workerd terminate``."""

from __future__ import annotations

import click

from workerd.cli.common import Common, common_options, example

_EXAMPLE = """
workerd terminate 4f2a3d1c-8f0e-4f0b-9d5e-2f6b1c7a9e10
workerd terminate 4f2a3d1c-8f0e-4f0b-9d5e-2f6b1c7a9e10 --kill
"""


@click.command(epilog=example(_EXAMPLE))
@common_options
@click.argument("task_id", metavar="ID")
@click.option("--kill", is_flag=True, help="Kill its child at once.")
def command(common: Common, task_id: str, kill: bool) -> None:
    """End the task with this id, whether it runs or waits in this daemon. Its state is REVOKED then.

    A running task is interrupted by an exception that `except Exception` does not catch, so that its
    `finally` blocks run; its child is killed when it has not ended within `drain.grace`.
    """
    found = common.client().call("terminate", id=task_id, kill=kill)
    for done in found["done"]:
        click.echo(f"{task_id}: {done}")
