"""``workerd dead``: look into what was put aside, and send it anew."""

from __future__ import annotations

import json
import time
from typing import Any

import click

from workerd.cli.common import Common, common_options, example, verbs_options
from workerd.cli.dead_letters import details, keys, lines, room_of, values
from workerd.cli.lazy import VerbGroup
from workerd.cli.settings import Word
from workerd.cli.table import counted
from workerd.errors import UsageError, WorkerdError

_EXAMPLE = """
workerd dead list
workerd dead show 4f2a6c1e
workerd dead requeue 4f2a6c1e
"""

in_queue = click.option("--queue", metavar="QUEUE", type=Word(), help="Only in the dead queue of QUEUE.")
of_queue = click.argument("queue", metavar="[QUEUE]", required=False, type=Word())


@click.group(cls=VerbGroup, epilog=example(_EXAMPLE), subcommand_metavar="VERB ...")
@verbs_options
def command() -> None:
    """Look into the messages that were put aside in <queue>.dead, and send them anew.

    Works on the broker itself, whether a daemon runs or not.  Without QUEUE all queues are meant that the
    settings, the daemon of this name and (on Redis) the broker tell of.
    """


@command.command("list", epilog=example("workerd dead list\nworkerd dead list mail --json"))
@common_options
@of_queue
@click.option("--limit", type=click.IntRange(0), default=100, help="At most so many; 0: all.  [default: 100]")
@click.option("--json", "as_json", is_flag=True, help="One JSON list, for programs.")
def list_(common: Common, queue: str | None, limit: int, as_json: bool) -> None:
    """List dead letters, the oldest first."""
    with room_of(common, queue) as room:
        total = sum(room.found.count(name) for name in room.queues)
        found = room.oldest(limit or None)
        if as_json:
            click.echo(json.dumps([values(one) for one in found], indent=2))
        elif not found:
            click.echo(f"no dead letters in {', '.join(f'{name}.dead' for name in room.queues)}")
        else:
            click.echo("\n".join(lines(found)))
            if total > len(found):
                click.echo(f"and {total - len(found)} more; --limit 0 lists all")


@command.command(epilog=example("workerd dead show 4f2a6c1e\nworkerd dead show 4f2a6c1e --raw > message"))
@common_options
@click.argument("wanted", metavar="ID", type=Word())
@in_queue
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
@click.option("--raw", is_flag=True, help="The message's bytes as they came (on RabbitMQ: its body).")
def show(common: Common, wanted: str, queue: str | None, as_json: bool, raw: bool) -> None:
    """Show one dead letter: ID is the task's, the letter's own, or the beginning of one."""
    with room_of(common, queue) as room:
        [one] = room.find([wanted])
    if raw:
        click.echo(one.raw, nl=False)
    elif as_json:
        click.echo(json.dumps(values(one) | {"headers": dict(one.headers)}, indent=2, default=str))
    else:
        click.echo("\n".join(details(one, time.time())))


@command.command(
    epilog=example("workerd dead requeue 4f2a6c1e 77b0\nworkerd dead requeue --all --queue mail")
)
@common_options
@click.argument("ids", metavar="[ID]...", nargs=-1, type=Word())
@click.option("--all", "everything", is_flag=True, help="Every dead letter.")
@in_queue
def requeue(common: Common, ids: tuple[str, ...], everything: bool, queue: str | None) -> None:
    """Send dead letters to the queues that they came from, as new messages whose deaths are forgotten."""
    if bool(ids) is everything:
        raise UsageError("say which dead letters", "write their ids, or --all")
    with room_of(common, queue) as room:
        chosen = set() if everything else keys(room.find(ids))
        gone = set(chosen)
        count = 0
        for name in room.queues:
            for one in room.found.requeue(name, lambda one: everything or one.key in chosen):
                count += 1
                gone.discard(one.key)
                click.echo(f"{one.id} is in {one.letter.queue} again")
    if gone:
        raise WorkerdError(f"{counted(len(gone), 'dead letter')} went meanwhile", "see `workerd dead list`")
    if not count:
        click.echo("no dead letters")


@command.command(epilog=example("workerd dead purge mail --yes"))
@common_options
@of_queue
@click.option("--yes", is_flag=True, help="Really.")
def purge(common: Common, queue: str | None, yes: bool) -> None:
    """Delete dead letters for good."""
    with room_of(common, queue) as room:
        counts = {name: room.found.count(name) for name in room.queues}
        told = ", ".join(f"{count} in {name}.dead" for name, count in counts.items() if count)
        if told and not yes:
            raise UsageError(f"this would delete dead letters for good: {told}", "add --yes")
        deleted: dict[str, Any] = {name: room.found.purge(name) for name, count in counts.items() if count}
    click.echo(
        "\n".join(f"{count} deleted from {name}.dead" for name, count in deleted.items()) or "no dead letters"
    )
