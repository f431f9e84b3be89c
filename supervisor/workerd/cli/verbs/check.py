"""``workerd check``."""

from __future__ import annotations

from traceback import format_exception

import click

from workerd.cli.checks import Checks
from workerd.cli.common import Common, common_options, example
from workerd.errors import ExitCode, WorkerdError


@click.command(epilog=example("workerd -A proj check"))
@common_options
def command(common: Common) -> int:
    """Check settings, app, steps, broker, backend and paths; changes nothing.

    One line each; the exit code is that of the first that fails.
    """
    code = 0
    checks = Checks(common)
    for name, check in checks:
        if checks.blind and name != "settings":
            click.echo(f"{name:<9} skipped needs the settings")
            continue
        try:
            found = check()
            line = "skipped needs the app" if found is None else f"ok      {found}"
        except Exception as exc:  # noqa: BLE001 - whatever it is, the other lines are told too
            line = f"FAILED  {_told(exc, common.debug)}"
            code = code or int(exc.exit_code if isinstance(exc, WorkerdError) else ExitCode.BUG)
        click.echo(f"{name:<9} {line}")
    return code


def _told(exc: Exception, debug: bool) -> str:
    """One line; a traceback, if it is to be shown, goes to stderr."""
    known = isinstance(exc, WorkerdError)
    if text := getattr(exc, "traceback", "") if known else "".join(format_exception(exc)) if debug else "":
        click.echo(text.rstrip(), err=True)
    return " ".join((str(exc) if known else f"bug: {exc!r}").split())
