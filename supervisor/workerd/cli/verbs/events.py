"""``workerd events``."""

from __future__ import annotations

import json
import time
from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import click

from workerd.cli.app_verb import AppVerb, user_words
from workerd.cli.clientapp import client_app
from workerd.cli.common import Common, common_options, example
from workerd.cli.settings import Duration, layers_of
from workerd.events.receiver import Receiver
from workerd_pool import collector

_EXAMPLE = """
workerd events
workerd events --enable --json > events.jsonl
"""

MOST_NAMES = 10_000

COMMON = frozenset(
    {"type", "hostname", "timestamp", "pid", "clock", "utcoffset", "uuid", "local_received", "name"}
)
"""Fields that every line shows in its own way, or that say nothing to people."""


@click.command(cls=AppVerb, kind="events", epilog=example(_EXAMPLE))
@common_options
@click.option("-d", "--dump", "--json", "as_json", is_flag=True, help="One JSON object a line, for programs.")
@click.option("--enable", is_flag=True, help="Ask the nodes to send events of tasks; they go on with it.")
@click.option("--limit", type=click.IntRange(1), help="End after so many events.")
@click.option("--timeout", type=Duration(), help="End after so long.")
def command(common: Common, as_json: bool, enable: bool, limit: int | None, timeout: float | None) -> None:
    """Show what the nodes of a cluster tell of themselves and of their tasks, as it happens.

    It follows until it is interrupted. Events of tasks are sent by daemons with `cluster.events = true`, and
    by all once they are asked for: --enable does that, `workerd control disable_events` takes it back.
    """
    with client_app(common) as app:
        user_words(click.get_current_context()).read(app)
        app.control.key = layers_of(common).config().control.key
        receiver, names = Receiver(app), Names()
        until = None if timeout is None else time.monotonic() + timeout
        begin = app.control.enable_events if enable else None
        collector.spare()
        for count, event in enumerate(receiver.events(until, begin), 1):
            click.echo(json.dumps(event) if as_json else line(event, names))
            if count == limit:
                return


class Names:
    """The names of the tasks that were heard of last, by id: only the first event of a task has it."""

    def __init__(self) -> None:
        self._names: OrderedDict[str, str] = OrderedDict()

    def of(self, event: Mapping[str, Any]) -> str:
        """``proj.add[4f2a…]``, or the id alone."""
        task_id = str(event.get("uuid"))
        if name := event.get("name"):
            self._names[task_id] = str(name)
            if len(self._names) > MOST_NAMES:
                self._names.popitem(last=False)
        known = self._names.get(task_id)
        return f"{known}[{task_id}]" if known else task_id


def line(event: Mapping[str, Any], names: Names) -> str:
    """One event for people."""
    stamp = event.get("timestamp")
    when = (
        datetime.fromtimestamp(stamp).isoformat(" ", "milliseconds")
        if isinstance(stamp, (int, float))
        else "?"
    )
    task = f" {names.of(event)}" if event.get("uuid") else ""
    rest = (
        f"{key}={_short(value)}"
        for key, value in event.items()
        if key not in COMMON and value not in (None, "", {}, [])
    )
    return f"{when} {event.get('hostname', '?')} {event['type']}{task} {' '.join(rest)}".rstrip()


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    first, *more = text.strip().splitlines() or [""]
    return f"{first} …" if more else first
