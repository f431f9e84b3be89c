"""``workerd purge``: delete what waits in queues."""

from __future__ import annotations

import json

import click

from workerd.app.remote.waiting import shared_queues, waiting_messages
from workerd.cli.clientapp import client_app
from workerd.cli.common import Common, common_options, example
from workerd.cli.known_queues import known_queues
from workerd.cli.reaching import embedded
from workerd.cli.settings import Word
from workerd.cli.table import counted
from workerd.errors import UsageError


@click.command(epilog=example("workerd purge\nworkerd purge mail --yes"))
@common_options
@click.argument("wanted", metavar="[QUEUE]...", nargs=-1, type=Word())
@click.option("--yes", is_flag=True, help="Really.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
def command(common: Common, wanted: tuple[str, ...], yes: bool, as_json: bool) -> None:
    """Delete the messages that wait in queues, for good.

    Works on the broker itself, whether a daemon runs or not.  Without QUEUE all queues are meant that the
    settings, the app and the daemon of this name tell of.  What a daemon has fetched and what waits for its
    ETA (`workerd delayed`) stays.
    """
    with client_app(common) as app, embedded(app), waiting_messages(app) as waiting:
        names = wanted or sorted(known_queues(common) | shared_queues(app))
        counts = waiting.counts(names)
        told = ", ".join(f"{count} in {name}" for name, count in counts.items() if count)
        if told and not yes:
            raise UsageError(f"this would delete messages for good: {told}", "add --yes")
        deleted = waiting.purge(counts)
    if as_json:
        click.echo(json.dumps(dict(deleted)))
    elif not any(deleted.values()):
        click.echo(f"nothing waits in {', '.join(names)}")
    else:
        lines = [
            f"{counted(count, 'message')} deleted from {name}" for name, count in deleted.items() if count
        ]
        click.echo("\n".join(lines))
