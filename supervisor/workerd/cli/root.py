"""The group ``workerd`` itself: its verbs, those of packages, and the preload options that an app adds."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from functools import partial
from typing import TYPE_CHECKING

import click

from workerd.bin.base import GET_APP
from workerd.bin.clicks import click_options
from workerd.bin.user_words import UserWords
from workerd.bin.words import first_other, split
from workerd.cli.added_verbs import BrokenPluginError, entries, given_to, own_of, verb_of
from workerd.cli.app_verb import WORDS, AppVerb
from workerd.cli.common import Common
from workerd.cli.lazy import LazyGroup
from workerd.cli.naming_app import app_of, typed, why_not, write_options
from workerd.cli.report import complain
from workerd.errors import WorkerdError

if TYPE_CHECKING:
    from workerd.app import App

TALKING = (
    "stop",
    "reload",
    "reopen",
    "restart",
    "status",
    "health",
    "scale",
    "limit",
    "terminate",
    "inspect",
    "control",
)
APPLESS = frozenset((*TALKING, "multi", "systemd", "plugins", "demo", "version"))
"""Verbs that need no app, and look at one for its preload options only if it is typed."""


ARGS = "workerd.args"
"""In ``ctx.meta``: the whole command line, for a help."""


def app_to_act(common: Common) -> App:
    """The app that a sub-command of an installed package acts through."""
    from workerd.cli.clientapp import client_app  # noqa: PLC0415 (half a second, where an app is asked for)

    return client_app(common)


class Root(LazyGroup):
    """Takes preload options out of the command line, wherever they stand, and sends their signal."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta[ARGS] = tuple(args)
        other = first_other(args, self.get_params(ctx))
        if other is not None and other.startswith("-"):
            # Without the app nobody knows whether the word that follows is its value, or the verb.
            app = app_of(typed(args, ctx.command_path))
            if app is not None:
                words, args = split(args, click_options(app.user_options["preload"]))
                ctx.meta[WORDS] = words
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        own = super().list_commands(ctx)
        return [*own, *(entry.name for entry in entries() if entry.name not in own)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if (own := super().get_command(ctx, cmd_name)) is not None:
            return own
        return next((verb_of(entry) for entry in entries() if entry.name == cmd_name), None)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, verb, left = super().resolve_command(ctx, args)
        if name is None or verb is None or isinstance(verb, AppVerb):
            return name, verb, left
        command, before = f"{ctx.command_path} {name}", Common(**ctx.params)
        if name in self.verbs:
            return name, verb, self._preload(ctx, typed(left, command).over(before), name, left)
        common, left = own_of(verb, left, command)
        common = common.over(before)
        ctx.meta[GET_APP] = partial(app_to_act, common)
        return name, given_to(verb, common), self._preload(ctx, common, name, left)

    def _preload(self, ctx: click.Context, common: Common, name: str, args: list[str]) -> list[str]:
        """Read the preload options among ``args``; the others."""
        if name in APPLESS and common.app is None:
            return args
        try:
            app = app_of(common)
        except WorkerdError as exc:
            if name in APPLESS:
                complain(why_not(exc))
            return args  # the others need it, and tell themselves what is wrong with it
        if app is None:
            return args
        words, others = split(args, click_options(app.user_options["preload"]))
        user = UserWords(f"{ctx.command_path} {name}", words=(*ctx.meta.get(WORDS, ()), *words))
        with redirect_stdout(sys.stderr):  # as what the app prints
            user.read(app)
        return others

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The options of the app, if one is named, then the verbs, then those of installed packages."""
        try:
            common = typed(ctx.meta[ARGS], ctx.command_path)
            app = app_of(common) if common.app is not None else None
            if app is not None:
                write_options(ctx, formatter, common, click_options(app.user_options["preload"]))
        except WorkerdError as exc:
            complain(why_not(exc))
        super().format_commands(ctx, formatter)
        if rows := list(self._added()):
            with formatter.section("Verbs of installed packages"):
                formatter.write_dl(rows)

    def _added(self) -> Iterator[tuple[str, str]]:
        for entry in entries():
            if entry.name in self.verbs:
                continue  # `workerd plugins` tells
            try:
                yield entry.name, verb_of(entry).get_short_help_str(limit=200)
            except BrokenPluginError as exc:
                complain(f"left out: {exc}")
