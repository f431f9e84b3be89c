"""The options that every verb takes, before it or after it, and what verbs make of them."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
from typing import Any

import click

from workerd.cli.report import reported
from workerd.control.client import ControlClient
from workerd.paths import DEFAULT_NAME, control_socket

LEVELS = ("debug", "info", "warning", "error", "critical")

_OPTIONS = (
    click.option("-A", "--app", metavar="APP", help="Where the App is: module, module:attribute."),
    click.option("-n", "--name", metavar="NAME", help="The daemon's name.  [default: main]"),
    click.option("-b", "--broker", metavar="URL", multiple=True, help="Broker; again for a fail-over."),
    click.option("--backend", metavar="URL", help="Result backend."),
    click.option("--config", metavar="FILE", envvar="WORKERD_CONFIG", help="Settings file (TOML)."),
    click.option(
        "-l", "--loglevel", type=click.Choice(LEVELS, case_sensitive=False), help="How much to tell."
    ),
)
_DAEMON_OPTIONS = (
    click.option("--size", metavar="N|MIN-MAX", help="Slots of each pool.  [default: one a CPU]"),
    click.option("-Q", "--queues", metavar="A,B", help="Queues to consume.  [default: the app's]"),
    click.option(
        "--pool",
        "pools",
        metavar="NAME:KEY=VALUE,...",
        multiple=True,
        help="A pool of its own for some queues: video:queues=video,size=1-2.  Again for another.",
    ),
)


@dataclass(frozen=True, slots=True)
class Common:
    """What was typed of the options above; None or empty where nothing was."""

    app: str | None = None
    name: str | None = None
    broker: tuple[str, ...] = ()
    backend: str | None = None
    config: str | None = None
    loglevel: str | None = None
    size: str | None = None
    queues: str | None = None
    pools: tuple[str, ...] = ()

    def over(self, other: Common) -> Common:
        """These options where they were typed, else ``other``'s."""
        # An empty text is a wrong value, to be refused by name; only what is not given falls through.
        own = {f.name: getattr(self, f.name) for f in fields(self)}
        return Common(**{k: getattr(other, k) if v in (None, ()) else v for k, v in own.items()})

    @property
    def debug(self) -> bool:
        return (self.loglevel or os.environ.get("WORKERD_LOGLEVEL", "")).lower() == "debug"

    def daemon_name(self) -> str:
        """The name of the daemon to talk to, without reading more than is needed for it."""
        if self.config:
            # Reading settings costs more than all the rest of `workerd status`.
            from workerd.cli.settings import layers_of  # noqa: PLC0415

            return layers_of(self).config().name
        return self.name if self.name is not None else os.environ.get("WORKERD_NAME", DEFAULT_NAME)

    def client(self) -> ControlClient:
        """A client of that daemon's control socket."""
        return ControlClient(control_socket(self.daemon_name()))


def common_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a verb the common options; its first parameter is the ``Common`` of both places."""

    @wraps(function)
    def verb(*args: Any, **kwargs: Any) -> int:
        context = click.get_current_context()
        own = Common(**{f.name: kwargs.pop(f.name) for f in fields(Common) if f.name in kwargs})
        common = own.over(context.obj or Common())
        _check_place(context, common)
        return reported(common.debug, lambda: function(common, *args, **kwargs))

    return with_options(verb, _OPTIONS)


def daemon_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that shape a daemon; like the common ones, they may stand before the verb."""
    return with_options(function, _DAEMON_OPTIONS)


def verbs_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a verb that has verbs of its own the common options; they may stand before these, too."""

    @wraps(function)
    def verb(**kwargs: Any) -> None:
        context = click.get_current_context()
        context.obj = Common(**kwargs).over(context.obj or Common())

    return with_options(verb, _OPTIONS)


def group_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add all options that may stand before a verb."""
    return with_options(function, _OPTIONS + _DAEMON_OPTIONS)


def with_options(function: Callable[..., Any], options: tuple[Any, ...]) -> Callable[..., Any]:
    """Add click's ``options`` in this order."""
    for option in reversed(options):
        option(function)
    return function


def _check_place(context: click.Context, common: Common) -> None:
    known = {parameter.name for parameter in context.command.params}
    for name, flag in (("size", "--size"), ("queues", "--queues"), ("pools", "--pool")):
        if getattr(common, name) not in (None, ()) and name not in known:
            raise click.UsageError(f"{flag} is an option of `workerd start`.", context)


def example(text: str) -> str:
    """An epilog whose lines stay as they are."""
    return "\b\nExample:\n" + "\n".join(f"  {line}" for line in text.strip().splitlines())
