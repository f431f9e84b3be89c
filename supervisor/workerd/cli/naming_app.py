"""Which app a command line names, for what must be known of it before the verb begins: its options."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from contextlib import redirect_stdout
from typing import TYPE_CHECKING

import click

from workerd.bin.words import read, split
from workerd.cli.common import Common, common_parameters
from workerd.errors import WorkerdError

if TYPE_CHECKING:
    from workerd.app import App


def typed(words: Iterable[str], command: str) -> Common:
    """The common options among ``words``.  Errors: UsageError, of ``command``."""
    options = common_parameters()
    own, _ = split(words, options)
    return Common(**read(own, options, command))


def place_of(common: Common) -> str:
    """Where the app is: as typed, else as the environment or the settings file say; empty for nowhere.

    Errors: ConfigError, for settings that cannot be read.
    """
    if common.app is not None:
        return common.app
    from workerd.cli.settings import layers_of  # noqa: PLC0415 (msgspec and TOML, for those who need them)

    return layers_of(common).config().app


def app_of(common: Common) -> App | None:
    """The app itself; None when none is named.  Errors: ConfigError, AppImportError."""
    where = place_of(common)
    if not where:
        return None
    from workerd.app.loader import find_app  # noqa: PLC0415 (half a second, only where an app is named)

    with redirect_stdout(sys.stderr):  # what it prints is no part of what the verb answers
        return find_app(where)


def write_options(
    ctx: click.Context, formatter: click.HelpFormatter, common: Common, options: Iterable[click.Option]
) -> None:
    """The section of a help that shows what the app adds."""
    rows = [row for option in options if (row := option.get_help_record(ctx)) is not None]
    if rows:
        with formatter.section(f"Options of {place_of(common)}"):
            formatter.write_dl(rows)


def why_not(exc: WorkerdError) -> str:
    """Why the app's options are not known, in one line."""
    return f"the options of the app are not known: {exc}"
