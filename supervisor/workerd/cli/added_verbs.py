"""Sub-commands that installed packages add: entry points of the group ``workerd.commands``.

Each is a click command or a subclass of ``workerd.bin.Command``.  One is imported when it is typed, all of
them for a help, which leaves out those that are broken.

Errors:  BrokenPluginError, which names the sub-command and its package.
"""

from __future__ import annotations

import copy
import inspect
import traceback
from collections.abc import Callable, Sequence
from functools import partial, wraps
from typing import TYPE_CHECKING, Any

import click

from workerd.bin.base import GET_APP, Command
from workerd.bin.clicks import as_click, check_flags
from workerd.bin.words import read, split
from workerd.cli.common import Common, common_parameters
from workerd.cli.report import reported
from workerd.errors import ConfigError, ExitCode, OthersCodeError, WorkerdError
from workerd_pool import collector

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from workerd.app import App

GROUP = "workerd.commands"


class BrokenPluginError(OthersCodeError):
    """What an installed package adds cannot be used."""

    exit_code = ExitCode.FAILED


def entries() -> list[EntryPoint]:
    """The sub-commands of all installed packages, by name and package."""
    # As slow as all else that a verb of our own needs, such as `health`, which probes run every few seconds.
    from importlib.metadata import entry_points  # noqa: PLC0415

    return sorted(entry_points(group=GROUP), key=lambda entry: (entry.name, origin(entry)))


def origin(entry: EntryPoint) -> str:
    """The package and its version."""
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist is not None else "an unknown package"


def verb_of(entry: EntryPoint) -> click.Command:
    """The sub-command; a command of its own, whatever else uses the one that was found."""
    try:
        return _as_click(entry.name, entry.load())
    except (Exception, SystemExit) as exc:
        where = f"sub-command {entry.name!r} of {origin(entry)}"
        if isinstance(exc, ConfigError):
            raise BrokenPluginError(f"{where} cannot be used: {exc}") from exc
        text, told = traceback.format_exc(), f"{type(exc).__name__}: {exc}"
        raise BrokenPluginError(f"{where} cannot be loaded: {told}", "mend or uninstall it", text) from exc


def given_to(verb: click.Command, common: Common) -> click.Command:
    """``verb`` as a part of this command line: its errors are told as those of all verbs."""
    callback = verb.callback
    if callback is not None and not isinstance(verb, click.Group):

        @wraps(callback)
        def run(*args: Any, **values: Any) -> int:
            return reported(common.debug, lambda: _run(verb, partial(callback, *args, **values)))

        verb.callback = run
    return verb


def _run(verb: click.Command, call: Callable[[], Any]) -> int:
    """The exit code of one run; what it raises is no bug of workerd's."""
    collector.spare()  # who knows how long it runs
    try:
        answer = call()
    except (WorkerdError, BrokenPipeError, click.ClickException, click.Abort, click.exceptions.Exit):
        raise
    except Exception as exc:
        what = f"sub-command {verb.name!r} has failed: {type(exc).__name__}: {exc}"
        raise WorkerdError(what, "add -l debug for the traceback") from exc
    return answer if isinstance(answer, int) else 0


def own_of(verb: click.Command, args: Sequence[str], command: str) -> tuple[Common, list[str]]:
    """(the common options among ``args``, all other words); flags that the verb has itself are its own."""
    own = {flag for option in verb.params for flag in (*option.opts, *option.secondary_opts)}
    options = [option for option in common_parameters() if not own.intersection(option.opts)]
    words, others = split(args, options)
    return Common(**read(words, options, command)), others


def _as_click(name: str, found: Any) -> click.Command:
    if isinstance(found, click.Command):
        made = copy.copy(found)
        made.name = name
        return made
    if isinstance(found, type) and issubclass(found, Command):
        return _of_class(name, found)
    raise ConfigError(f"{found!r} is neither a click command nor a subclass of workerd.bin.Command")


def _of_class(name: str, kind: type[Command]) -> click.Command:
    command = kind(_app)
    options = [as_click(option) for option in command.get_options()]
    check_flags(options)
    words = any(p.kind is p.VAR_POSITIONAL for p in inspect.signature(command.run).parameters.values())
    arguments = [click.Argument(["args"], nargs=-1, metavar=command.args or None)] if words else []

    def run(args: tuple[str, ...] = (), **values: Any) -> Any:
        return command.run(*args, **values)

    # Its own docstring: a class without one would be explained by that of Command.
    text = inspect.cleandoc(kind.__doc__) if kind.__doc__ else None
    return click.Command(name, params=[*options, *arguments], callback=run, help=text)


def _app() -> App:
    app: App = click.get_current_context().meta[GET_APP]()
    return app
