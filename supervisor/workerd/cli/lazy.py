"""Click groups of verbs; those of one are imported when they are typed, so that each pays only for itself."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click

from workerd.errors import close_matches


class VerbGroup(click.Group):
    """A group that lists its verbs with their whole first sentence, and knows the nearest to a wrong one."""

    def helps(self, ctx: click.Context) -> dict[str, str]:
        """What each verb does, in one line."""
        return {name: self.commands[name].get_short_help_str(limit=200) for name in self.commands}

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            verbs = self.list_commands(ctx)
            near = close_matches(args[0], verbs, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"verbs: {', '.join(verbs)}"
            raise click.UsageError(f"no verb {args[0]!r}; {hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl(list(self.helps(ctx).items()))


class LazyGroup(VerbGroup):
    """``verbs`` maps a name to its one-line help; the command is ``workerd.cli.verbs.<name>:command``."""

    def __init__(self, *args: Any, verbs: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.verbs = verbs

    def helps(self, ctx: click.Context) -> dict[str, str]:
        return dict(self.verbs)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.verbs)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.verbs:
            return None
        command: click.Command = import_module(f"workerd.cli.verbs.{cmd_name}").command
        return command
