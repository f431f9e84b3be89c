"""Verbs that take options of the app.

The verb imports the app itself, so these options are not known when its own are parsed: what it does not know
waits in ``user_words`` until then.
"""

from __future__ import annotations

from typing import Any

import click

from workerd.bin.user_words import UserWords
from workerd.bin.words import split
from workerd.cli.common import Common
from workerd.cli.naming_app import app_of, typed, why_not, write_options
from workerd.cli.report import complain
from workerd.errors import WorkerdError

WORDS = "workerd.words"
"""In ``ctx.meta``: words of the command line that may be options of the app."""


class AppVerb(click.Command):
    """A verb that takes the options in ``app.user_options[kind]`` beside the preload ones."""

    def __init__(self, *args: Any, kind: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.kind = kind

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        own, others = self.divided(ctx, args)
        ctx.meta[WORDS] = [*ctx.meta.get(WORDS, ()), *others]
        # A help is written before the other options are read, and it shows the options of the app.
        ctx.obj = typed(own, ctx.command_path).over(ctx.obj or Common())
        return super().parse_args(ctx, own)

    def divided(self, ctx: click.Context, args: list[str]) -> tuple[list[str], list[str]]:
        """(the words that are the verb's own, those that may be the app's)."""
        return split(args, self.get_params(ctx))

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_options(ctx, formatter)
        try:
            app = app_of(ctx.obj)
            if app is not None:
                kind, preload = user_words(ctx).options(app)
                write_options(ctx, formatter, ctx.obj, (*kind, *preload))
        except WorkerdError as exc:
            complain(why_not(exc))


def user_words(ctx: click.Context) -> UserWords:
    """What the app is to read of the command line of an ``AppVerb``."""
    verb = ctx.command
    assert isinstance(verb, AppVerb)
    words = tuple(ctx.meta.get(WORDS, ()))
    return UserWords(ctx.command_path, verb.kind, words, verb.get_params(ctx))
