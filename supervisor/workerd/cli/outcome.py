"""Print how a call has ended."""

from __future__ import annotations

import json
from typing import Any

import click

from workerd.errors import ExitCode, UnavailableError, WorkerdError

TIMEOUT = 60.0


def print_outcome(result: Any, timeout: float, *, traceback: bool) -> int:
    """Wait at most ``timeout`` seconds for ``result``; print its value, or its exception on stderr.

    The value is JSON.  Returns 0 for a value and 1 for an exception.
    Errors: UnavailableError when it has not ended by then.
    """
    try:
        value = result.get(timeout=timeout, propagate=False)
    except TimeoutError as exc:
        raise UnavailableError(
            f"task {result.id} has not ended within {timeout:g} s (state {result.state})",
            "wait longer with --timeout, or check its id and `workerd status`",
        ) from exc
    if result.successful():
        click.echo(json.dumps(value, default=str))
        return ExitCode.OK
    if traceback and result.traceback:
        click.echo(str(result.traceback).rstrip(), err=True)
    click.echo(f"{result.state}: {type(value).__name__}: {value}", err=True)
    return ExitCode.FAILED


def not_ended(result: Any) -> WorkerdError:
    """What to say of a call that is not waited for."""
    return WorkerdError(
        f"task {result.id} has not ended (state {result.state})",
        "leave out --no-wait to wait for it, or check its id",
    )
