"""``workerd plugins``."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from typing import Any

import click

from workerd.backends import plugins
from workerd.cli import added_verbs
from workerd.cli.added_verbs import origin
from workerd.cli.common import Common, common_options, example
from workerd.cli.root import Root
from workerd.errors import ExitCode, WorkerdError
from workerd.worker.steps import added as added_steps


@click.command(epilog=example("workerd plugins\nworkerd plugins --json"))
@common_options
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, for programs.")
def command(common: Common, as_json: bool) -> int:
    """List what installed packages add: sub-commands, bootsteps, result backends; with the package of each.

    Each is imported; one that cannot be used is told with the reason, and the exit code is 1.
    """
    rows = [*_commands(), *_steps(), *_backends()]
    for row in rows:
        click.echo(json.dumps(row) if as_json else _line(row))
    if not rows and not as_json:
        click.echo("no installed package adds anything")
    return ExitCode.FAILED if any(row["problem"] for row in rows) else ExitCode.OK


def _line(row: dict[str, Any]) -> str:
    what = f"{row['kind']:<8} {row['name']:<20} {row['package']}: {row['value']}"
    return f"{what}  FAILED  {' '.join(row['problem'].split())}" if row["problem"] else what


def _commands() -> Iterator[dict[str, Any]]:
    root = click.get_current_context().find_root().command
    owners = dict.fromkeys(root.verbs if isinstance(root, Root) else (), "workerd itself")
    for entry in added_verbs.entries():
        package = origin(entry)
        if (owner := owners.setdefault(entry.name, package)) == package:
            yield _row("command", entry, _problem(added_verbs.verb_of, entry))
        else:
            yield _row("command", entry, f"{owner} has one of that name")


def _steps() -> Iterator[dict[str, Any]]:
    for entry in added_steps.entries():
        yield _row("step", entry, _problem(added_steps.step_of, entry))


def _backends() -> Iterator[dict[str, Any]]:
    for entry in plugins.entries():
        yield _row("backend", entry, _problem(plugins.class_of, entry))


def _problem(use: Callable[[EntryPoint], object], entry: EntryPoint) -> str:
    try:
        use(entry)
    except WorkerdError as exc:
        return str(exc)
    return ""


def _row(kind: str, entry: EntryPoint, problem: str) -> dict[str, Any]:
    named = {"kind": kind, "name": entry.name, "package": origin(entry), "value": entry.value}
    return {**named, "problem": problem}
