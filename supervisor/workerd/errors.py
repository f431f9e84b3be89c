"""Errors, sorted by who must act, and the exit codes that operators see.

An error that reaches the command line prints one line: what, where, what to do.  Its class
decides the exit code, so that scripts and systemd can tell a typo from an outage.

Source: the numbers of ``sysexits.h`` where one fits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum
from typing import Any


class ExitCode(IntEnum):
    """Exit codes of every ``workerd`` command and of the daemon."""

    OK = 0
    FAILED = 1
    USAGE = 2
    UNAVAILABLE = 69
    BUG = 70
    TAKEN = 73
    GIVEN_BACK = 75
    PERMISSION = 77
    CONFIG = 78


class WorkerdError(Exception):
    """Base of all errors that workerd raises for a known reason.

    ``what`` is one sentence that names the thing and the place; ``hint`` says what to do.
    """

    exit_code: ExitCode = ExitCode.FAILED

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what, hint)
        self.what = what
        self.hint = hint

    def __str__(self) -> str:
        # What a library said often ends with a full stop.
        return f"{self.what.removesuffix('.')}; {self.hint}" if self.hint else self.what


class UsageError(WorkerdError):
    """The words of a call are wrong."""

    exit_code = ExitCode.USAGE


class UnavailableError(WorkerdError):
    """A broker, backend or daemon that is needed cannot be reached."""

    exit_code = ExitCode.UNAVAILABLE


class UnsentError(WorkerdError):
    """Of many calls that were sent together some have not arrived, as far as is known.

    ``unsent`` says why, by the calls' positions, from 0; ``results`` are those of all, None in these places.
    A call whose connection broke while the broker was about to take it may have arrived.
    """

    exit_code = ExitCode.UNAVAILABLE

    def __init__(self, results: Sequence[Any], unsent: Mapping[int, Exception]) -> None:
        first, reason = next(iter(unsent.items()))
        count = f"{len(unsent)} of {len(results)} calls"
        super().__init__(f"{count} are not sent; the first of them is call {first}: {reason}")
        self.results = results
        self.unsent = unsent


class RefusedError(UnavailableError):
    """A server that is needed is there and refuses us: somebody has to mend that."""


class TakenError(WorkerdError):
    """The name, socket or pid file belongs to another live daemon."""

    exit_code = ExitCode.TAKEN


class PermissionDeniedError(WorkerdError):
    """A path cannot be read or written by this user."""

    exit_code = ExitCode.PERMISSION


class ConfigError(WorkerdError):
    """A setting, the app or a step is wrong; a restart cannot mend it."""

    exit_code = ExitCode.CONFIG


class SettingsError(ConfigError):
    """Several settings are wrong; ``errors`` are told each in its own line."""

    def __init__(self, errors: Sequence[ConfigError]) -> None:
        super().__init__("; ".join(map(str, errors)))
        self.errors = tuple(errors)


class OthersCodeError(WorkerdError):
    """Code that is not the daemon's has raised; ``traceback`` is its own, as text, and always shown."""

    def __init__(self, what: str, hint: str = "", traceback: str = "") -> None:
        super().__init__(what, hint)
        self.traceback = traceback


class AppImportError(OthersCodeError, ConfigError):
    """The app could not be imported."""


class StepError(OthersCodeError):
    """A bootstep raised where it must not, or a blueprint cannot be ordered."""

    exit_code = ExitCode.BUG


def exit_code(exc: SystemExit) -> int:
    """The number that Python would exit with for this exception."""
    if exc.code is None:
        return 0
    return exc.code if isinstance(exc.code, int) else 1


def close_matches(word: str, words: Iterable[str], n: int = 1) -> list[str]:
    """Those of ``words`` that may have been meant by ``word``, ``n`` at most, the closest first."""
    # For what is wrong alone: 140 kB in each process, of which hardly one ever comes here.
    from difflib import get_close_matches  # noqa: PLC0415

    return get_close_matches(word, list(words), n=n)
