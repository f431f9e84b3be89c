"""How an error reaches the operator: one line on stderr, and an exit code that tells who must act.

``workerd: <what>; <hint>``.  A traceback is shown with ``-l debug``, and when it is the app's own.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

import click

from workerd.cli import output
from workerd.errors import ExitCode, SettingsError, WorkerdError

INTERRUPTED = 130
"""As shells tell of a program that a signal has ended."""


def reported(debug: bool, verb: Callable[[], Any]) -> int:
    """Run ``verb``; its exit code (None is 0), or that of the error it ended with, told in one line."""
    try:
        code = verb()
        output.finish()
        return int(code or 0)
    except WorkerdError as exc:
        if debug:
            traceback.print_exc()
        return told(exc, debug)
    except KeyboardInterrupt:
        return INTERRUPTED
    except (click.ClickException, click.Abort, click.exceptions.Exit):
        raise
    except Exception as exc:  # noqa: BLE001 - the last door: a bug is told in the same one line
        if debug:
            traceback.print_exc()
        return ended_by(exc)


def told(exc: WorkerdError, debug: bool = False) -> int:
    """The exit code of a known error, told in one line, after the traceback of others' code."""
    if not debug and (text := getattr(exc, "traceback", "")):
        output.tell(text.rstrip())
    for one in exc.errors if isinstance(exc, SettingsError) else (exc,):
        complain(str(one))
    return int(exc.exit_code)


def ended_by(exc: Exception) -> int:
    """The exit code of an error that nothing foresaw, told in one line; one of our output is no bug."""
    if isinstance(exc, OSError) and (told := output.failed(exc)) is not None:
        code, text = told
        if text:
            complain(text)
        return code
    where = traceback.extract_tb(exc.__traceback__)[-1]
    complain(f"bug: {exc!r} at {where.filename}:{where.lineno}; add -l debug for the traceback")
    return int(ExitCode.BUG)


def complain(text: str) -> None:
    """One line on stderr."""
    output.tell(f"workerd: {' '.join(text.split())}")
