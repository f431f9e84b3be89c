"""The options that every verb takes, before it or after it, and what verbs make of them."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import Any, NamedTuple

import click

from workerd.cli.report import reported
from workerd.control.client import ControlClient
from workerd.errors import WorkerdError
from workerd.paths import DEFAULT_NAME, control_socket, runtime_root

LEVELS = ("debug", "info", "warning", "error", "critical")


def _names(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    """For a shell: the daemons that have settings, or a place for their socket."""
    from workerd.config.places import config_names  # noqa: PLC0415 (only a shell asks)

    found = set()
    with suppress(WorkerdError):
        found.update(config_names())
    with suppress(OSError):
        found.update(place.name for place in runtime_root().iterdir() if (place / "lock").exists())
    return sorted(name for name in found if name.startswith(begun))


_OPTIONS = (
    click.option("-A", "--app", metavar="APP", help="Where the App is: module, module:attribute."),
    click.option(
        "-n", "--name", metavar="NAME", shell_complete=_names, help="The daemon's name.  [default: main]"
    ),
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
        "-X", "--exclude-queues", metavar="A,B", help="Queues not to consume, of the app's or of --queues."
    ),
    click.option(
        "--pool",
        "pools",
        metavar="NAME:KEY=VALUE,...",
        multiple=True,
        help="A pool of its own for some queues: video:queues=video,size=1-2.  Again for another.",
    ),
)


# Not a Struct: verbs that only talk to a daemon do without msgspec.
class Common(NamedTuple):
    """What was typed of the options above; None or empty where nothing was."""

    app: str | None = None
    name: str | None = None
    broker: tuple[str, ...] = ()
    backend: str | None = None
    config: str | None = None
    loglevel: str | None = None
    size: str | None = None
    queues: str | None = None
    exclude_queues: str | None = None
    pools: tuple[str, ...] = ()

    def over(self, other: Common) -> Common:
        """These options where they were typed, else ``other``'s."""
        # An empty text is a wrong value, to be refused by name; only what is not given falls through.
        own = self._asdict()
        return Common(**{k: getattr(other, k) if v in (None, ()) else v for k, v in own.items()})

    @property
    def debug(self) -> bool:
        return (self.loglevel or os.environ.get("WORKERD_LOGLEVEL", "")).lower() == "debug"

    def daemon_name(self) -> str:
        """The name of the daemon to talk to, without reading more than is needed for it."""
        if self.config or (self.name is None and "WORKERD_NAME" not in os.environ and _in_project()):
            # Reading settings costs more than all the rest of `workerd status`.
            from workerd.cli.settings import layers_of  # noqa: PLC0415

            return layers_of(self).config().name
        return self.name if self.name is not None else os.environ.get("WORKERD_NAME", DEFAULT_NAME)

    def client(self) -> ControlClient:
        """A client of that daemon's control socket."""
        return ControlClient(control_socket(self.daemon_name()))


def _in_project() -> bool:
    """The current directory has settings, which may name the daemon."""
    with suppress(OSError):
        return Path("workerd.toml").exists() or "[tool.workerd" in Path("pyproject.toml").read_text("utf-8")
    return False


def common_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a verb the common options; its first parameter is the ``Common`` of both places."""

    @wraps(function)
    def verb(*args: Any, **kwargs: Any) -> int:
        context = click.get_current_context()
        own = Common(**{name: kwargs.pop(name) for name in Common._fields if name in kwargs})
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


def common_parameters() -> list[click.Parameter]:
    """The options that every verb takes."""
    return click.command(with_options(lambda: None, _OPTIONS)).params


def _check_place(context: click.Context, common: Common) -> None:
    known = {parameter.name for parameter in context.command.params}
    flags = {"size": "--size", "queues": "--queues", "exclude_queues": "-X", "pools": "--pool"}
    for name, flag in flags.items():
        if getattr(common, name) not in (None, ()) and name not in known:
            raise click.UsageError(f"{flag} is an option of `workerd start`.", context)


def example(text: str) -> str:
    """An epilog whose lines stay as they are."""
    return "\b\nExample:\n" + "\n".join(f"  {line}" for line in text.strip().splitlines())
