"""``workerd call``."""

from __future__ import annotations

import inspect
import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from workerd.cli.clientapp import NO_APP, client_app
from workerd.cli.common import Common, common_options, example
from workerd.cli.outcome import TIMEOUT, print_outcome
from workerd.cli.settings import Duration, Word
from workerd.errors import ConfigError, UsageError, close_matches
from workerd.transport.urls import NO_BACKEND

if TYPE_CHECKING:
    from workerd.app import App

_EXAMPLE = """
workerd call proj.add --args '[2, 3]'
workerd call proj.report --kwargs '{"day": "monday"}' --countdown 10m --queue slow
workerd call proj.add --args '[2, 3]' --wait
"""


@click.command(epilog=example(_EXAMPLE))
@common_options
@click.argument("task", metavar="NAME", type=Word())
@click.option("--args", "positional", default="[]", metavar="JSON", help="Positional arguments, a list.")
@click.option("--kwargs", "named", default="{}", metavar="JSON", help="Named arguments, an object.")
@click.option("--countdown", type=Duration(), help="Not before so long from now.")
@click.option("--eta", metavar="ISO", help="Not before this time (local if it has no zone).")
@click.option("--expires", metavar="TIME|ISO", help="Not after so long from now, or this time.")
@click.option("--queue", metavar="QUEUE", type=Word(), help="The queue to send to.  [default: the app's]")
@click.option(
    "--priority",
    type=click.IntRange(0, 255),
    metavar="0-255",
    help="Which of two waits less: on RabbitMQ the higher number, on Redis the lower one (0 to 9).",
)
@click.option("--wait", is_flag=True, help="Print the result, too, as `workerd result` does.")
@click.option("--timeout", type=Duration(), default=TIMEOUT, help="With --wait: how long.  [default: 60s]")
def command(common: Common, task: str, positional: str, named: str, wait: bool, **options: Any) -> int:
    """Send the task NAME and print the id of the call.

    With --app the task must be one of the app's, and is sent with its options (queue, limits, serializer).
    """
    if options["countdown"] is not None and options["eta"] is not None:
        raise UsageError("--countdown and --eta both say when", "leave one of them out")
    args = _json("--args", positional, list)
    kwargs = _json("--kwargs", named, dict)
    timeout = options.pop("timeout")
    options["eta"] = _when("--eta", options["eta"])
    options["expires"] = _expiry(options["expires"])
    given = {key: value for key, value in options.items() if value is not None}
    with client_app(common) as app:
        if wait and app.backend_url().rstrip("/:") in NO_BACKEND:
            raise ConfigError(
                "nothing is sent: --wait needs a result backend, and there is none",
                "leave out --wait, or name one: --backend redis://localhost/1",
            )
        result = _send(app, task, args, kwargs, given)
        click.echo(result.id)
        return print_outcome(result, timeout, traceback=False) if wait else 0


def _send(app: App, name: str, args: list[Any], kwargs: dict[str, Any], options: dict[str, Any]) -> Any:
    if app.main == NO_APP:
        return app.send_task(name, args, kwargs, **options)
    task = app.tasks.get(name)
    if task is None:
        near = close_matches(name, app.tasks, n=1)
        raise UsageError(
            f"app {app.main} has no task {name!r}",
            f"did you mean {near[0]!r}?" if near else f"tasks: {', '.join(sorted(app.tasks)) or 'none'}",
        )
    try:
        inspect.signature(task.run).bind(*args, **kwargs)
    except TypeError as exc:
        raise UsageError(f"{name}: {exc}", "see --args and --kwargs") from exc
    return task.apply_async(args, kwargs, **options)


def _json(option: str, text: str, kind: type) -> Any:
    try:
        value = json.loads(text)
    except ValueError as exc:
        raise UsageError(f"{option} is not JSON: {exc}", f"write for example {option} '{kind()}'") from exc
    if not isinstance(value, kind):
        raise UsageError(f"{option} must be {'a list' if kind is list else 'an object'}", f"not {text}")
    return value


def _when(option: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text).astimezone()
    except ValueError as exc:
        raise UsageError(f"{option} is not a time: {text}", "write for example 2030-01-31T18:00") from exc


def _expiry(text: str | None) -> float | datetime | None:
    if text is None:
        return None
    try:
        return Duration().convert(text, None, None)
    except click.BadParameter:
        return _when("--expires", text)
