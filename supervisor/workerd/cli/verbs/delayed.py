"""``workerd delayed``: what waits in the broker for its ETA."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import islice
from typing import Any

import click

from workerd.cli.clientapp import client_app
from workerd.cli.common import Common, common_options, example, verbs_options
from workerd.cli.lazy import VerbGroup
from workerd.cli.reaching import embedded, opened
from workerd.cli.settings import Word
from workerd.cli.table import counted, span
from workerd.errors import WorkerdError
from workerd.source.delayed import DelayedMessages, Waiting, open_delayed

_EXAMPLE = """
workerd delayed list
workerd delayed flush
"""

of_queue = click.argument("queue", metavar="[QUEUE]", required=False, type=Word())


@click.group(cls=VerbGroup, epilog=example(_EXAMPLE), subcommand_metavar="VERB ...")
@verbs_options
def command() -> None:
    """Look into the messages that wait in the broker for their ETA.

    Works on the broker itself, whether a daemon runs or not.
    """


@contextmanager
def _delayed(common: Common) -> Iterator[DelayedMessages]:
    with client_app(common) as app, embedded(app), app.broker.reaching():
        found = opened(app, open_delayed)
        try:
            yield found
        finally:
            found.close()


@command.command("list", epilog=example("workerd delayed list\nworkerd delayed list mail --json"))
@common_options
@of_queue
@click.option("--limit", type=click.IntRange(0), default=20, help="At most so many; 0: all.  [default: 20]")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
def list_(common: Common, queue: str | None, limit: int, as_json: bool) -> None:
    """Count what waits, and list what is due next.

    RabbitMQ tells only how many wait in which of its delay queues, for all queues together.
    """
    with _delayed(common) as found:
        counts = {name: count for name, count in found.counts().items() if queue in (None, name)}
        if not found.listed:
            counts = dict(found.counts())
        some = (one for one in found.scan() if queue in (None, one.queue))
        waiting = list(islice(some, limit or None)) if counts else []
    if as_json:
        rows = [_values(one) for one in waiting]
        click.echo(json.dumps({"total": sum(counts.values()), "counts": counts, "next": rows}, indent=2))
        return
    click.echo(_total(counts, queue if found.listed else None))
    if waiting:
        click.echo("\n".join(_lines(waiting, time.time())))
    if found.listed and len(waiting) < sum(counts.values()):
        click.echo(f"and {sum(counts.values()) - len(waiting)} more; --limit 0 lists all")


@command.command(epilog=example("workerd delayed flush"))
@common_options
@click.option("--force", is_flag=True, help="Although daemons are up, which put them back.")
def flush(common: Common, force: bool) -> None:
    """Send everything that waits to its queue now, with its ETA.

    For Celery's workers, which hold such messages themselves: on Redis they do not look where a daemon has
    put them.  On RabbitMQ there is nothing to do, because it sends each to its queue by itself.
    """
    with _delayed(common) as found:
        if not found.listed:
            click.echo("nothing to flush: RabbitMQ sends each message to its queue by itself, at its time")
            return
        nodes = found.nodes()
        if nodes and not force:
            raise WorkerdError(
                f"{counted(len(nodes), 'daemon')} would put back what is due late: {', '.join(nodes)}",
                "stop them first, or add --force",
            )
        moved = found.flush()
    click.echo(f"{counted(moved, 'message')} sent to their queues" if moved else "nothing waits")


def _total(counts: Mapping[str, int], queue: str | None) -> str:
    if not counts:
        return f"nothing waits for {queue}" if queue else "nothing waits"
    told = ", ".join(f"{count} in {name}" for name, count in sorted(counts.items()))
    return f"{counted(sum(counts.values()), 'message')} due later: {told}"


def _lines(waiting: Sequence[Waiting], now: float) -> Iterator[str]:
    rows = [("ID", "QUEUE", "TASK", "DUE", "IN")]
    for one in waiting:
        name, task = (one.message.id, one.message.task) if one.message else ("?", "?")
        left = span(one.due - now) if one.due > now else "now"
        rows.append((name, one.queue, task, _moment(one.due), left))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        yield "  ".join([*(text.ljust(width) for text, width in zip(row, widths, strict=False)), row[4]])


def _values(one: Waiting) -> dict[str, Any]:
    return {
        "id": one.message.id if one.message else None,
        "task": one.message.task if one.message else None,
        "queue": one.queue,
        "due": one.due,
        "bytes": len(one.raw),
    }


def _moment(due: float) -> str:
    try:
        return datetime.fromtimestamp(due).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):  # after the year 9999
        return "never"
