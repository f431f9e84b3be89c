"""Options of the app: those of one command, and the ``preload`` ones, which every command takes.

They are known once the app is imported, so the words that a command does not know wait until then.

Errors:  UsageError for words that are no option of the app either; ConfigError for options that cannot be.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import click

from workerd.bin.clicks import check_flags, click_options
from workerd.bin.words import read, split
from workerd.signals import user_preload_options


class Adding(Protocol):
    """An App, as far as it matters here."""

    @property
    def user_options(self) -> Mapping[str, Iterable[Any]]:
        """Options by the command that takes them."""


class UserWords(NamedTuple):
    """The ``words`` of ``command`` that are not its ``own`` options.

    It takes the options in ``app.user_options[kind]`` beside the preload ones; none with an empty ``kind``.
    """

    command: str
    kind: str = ""
    words: tuple[str, ...] = ()
    own: Sequence[click.Parameter] = ()

    def options(self, app: Adding) -> tuple[list[click.Option], list[click.Option]]:
        """(those of ``kind``, preload options) of ``app``."""
        kind = click_options(app.user_options[self.kind]) if self.kind else []
        preload = click_options(app.user_options["preload"])
        check_flags((*preload, *kind), self.own)
        return kind, preload

    def read(self, app: Adding) -> dict[str, Any]:
        """The values of ``kind``, by name; those of preload options go out with their signal."""
        kind, preload = self.options(app)
        values = read(self.words, (*preload, *kind), self.command, self._own_flags())
        self._tell(app, _of(preload, values))
        return _of(kind, values)

    def defaults(self, app: Adding) -> dict[str, Any]:
        """The values of ``kind`` when nothing is typed; nothing is sent."""
        kind, _ = self.options(app)
        return read((), kind, self.command)

    def preload(self, app: Adding) -> None:
        """Read the preload options alone, and send them; all other words are left."""
        preload = click_options(app.user_options["preload"])
        words, _ = split(self.words, preload)
        self._tell(app, read(words, preload, self.command))

    def refuse(self) -> None:
        """UsageError if there is any word: there is no app that could know it."""
        read(self.words, (), self.command, self._own_flags())

    def _tell(self, app: Adding, values: Mapping[str, Any]) -> None:
        user_preload_options.send(sender=self.command, app=app, options=dict(values))

    def _own_flags(self) -> list[str]:
        return [flag for option in self.own if isinstance(option, click.Option) for flag in option.opts]


def _of(options: Iterable[click.Option], values: Mapping[str, Any]) -> dict[str, Any]:
    return {option.name: values[option.name] for option in options if option.name in values}
