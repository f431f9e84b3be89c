"""Commands of remote control as verbs: those of workerd and, with an app, those that it adds.

Words are given to the arguments of a command in the order that it declares.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NoReturn

import click

from workerd.app.remote.reply_box import Whom
from workerd.cli.clientapp import client_app
from workerd.cli.common import Common, common_options, verbs_options
from workerd.cli.lazy import VerbGroup
from workerd.cli.settings import Duration, layers_of
from workerd.control.registry import Command, Registry
from workerd.errors import ExitCode, UnavailableError, UsageError, WorkerdError
from workerd.worker.control import all_commands

Kind = Literal["inspect", "control"]

_TRUE, _FALSE = ("true", "yes", "1", "on"), ("false", "no", "0", "off")


class RemoteGroup(VerbGroup):
    """The commands of one kind.  An app is imported only where it may have the command that is meant."""

    kind: Kind

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(one.name for one in self._visible(self._loaded(ctx)[0]))

    def helps(self, ctx: click.Context) -> dict[str, str]:
        registry, problem = self._loaded(ctx)
        found = {
            one.name: _sentence(one.help) for one in sorted(self._visible(registry), key=lambda one: one.name)
        }
        return found | ({"...": f"the app's own are not known: {problem}"} if problem else {})

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        # Before the list of all commands is asked, for which an app must be imported.
        if args and (found := self.get_command(ctx, args[0])) is not None:
            return args[0], found, args[1:]
        return super().resolve_command(ctx, args)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        found = self._find(all_commands(), cmd_name)
        problem: WorkerdError | None = None
        if found is None:
            registry, problem = self._loaded(ctx)
            found = self._find(registry, cmd_name)
        if found is None:
            return _failing(problem) if problem is not None else None
        return verb_of(found)

    def _find(self, registry: Registry, name: str) -> Command[Any] | None:
        return next((one for one in self._visible(registry) if name in one.names), None)

    def _visible(self, registry: Registry) -> Iterator[Command[Any]]:
        for one in registry:
            if one.remote is not None and one.remote.kind == self.kind and one.remote.visible:
                yield one

    def _loaded(self, ctx: click.Context) -> tuple[Registry, WorkerdError | None]:
        """The commands with those of the app, and why these are not known."""
        given = {name: ctx.params[name] for name in Common._fields if name in ctx.params}
        common = Common(**given).over(ctx.obj if isinstance(ctx.obj, Common) else Common())
        try:
            client_app(common)
        except WorkerdError as exc:
            return all_commands(), exc
        return all_commands(), None


def remote_group(kind: Kind, text: str, epilog: str) -> click.Group:
    """``workerd inspect`` or ``workerd control``."""

    @verbs_options
    def nothing() -> None: ...

    made: RemoteGroup = click.command(
        kind, cls=RemoteGroup, help=text, epilog=epilog, subcommand_metavar="COMMAND [WORD]..."
    )(nothing)
    made.kind = kind
    return made


def verb_of(command: Command[Any]) -> click.Command:
    """One command as a verb."""
    remote = command.remote
    assert remote is not None

    @click.command(command.name, help=_sentence(command.help))
    @common_options
    @click.argument("words", nargs=-1, metavar=remote.signature or "")
    @click.option(
        "-d", "--destination", metavar="NODE,...", help="Only these nodes; main is main@<this host>."
    )
    @click.option(
        "-t", "--timeout", type=Duration(), default=max(remote.timeout, 1.0), help="Wait so long for answers."
    )
    @click.option("-j", "--json", "as_json", is_flag=True, help="One JSON object, for programs.")
    def verb(
        common: Common, words: tuple[str, ...], destination: str | None, timeout: float, as_json: bool
    ) -> int:
        arguments = arguments_of(command, words)
        nodes = nodes_of(destination) if destination is not None else None
        layers = layers_of(common)
        with client_app(common) as app:
            app.control.key = layers.config().control.key
            whom = Whom(destination=nodes, reply=command.name != "shutdown", timeout=timeout)
            answers = app.control.broadcast(command.name, arguments, **whom)
        return told(answers, as_json, timeout)

    return verb


def nodes_of(text: str) -> list[str]:
    """The nodes that ``text`` names; a name without a host is on this one."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise UsageError("--destination names no node", "write for example -d main,main@other")
    return [name if "@" in name else f"{name}@{socket.gethostname()}" for name in names]


def arguments_of(command: Command[Any], words: Sequence[str]) -> dict[str, Any]:
    """The arguments that ``words`` mean.  Errors: UsageError."""
    remote = command.remote
    assert remote is not None
    taken = dict(zip(remote.positional, words, strict=False))
    rest = list(words[len(remote.positional) :])
    if rest and remote.variadic is None:
        usage = f"it takes: {remote.signature}" if remote.signature else "it takes none"
        raise UsageError(f"too many words for {command.name}", usage)
    found = {name: _converted(name, kind, word) for (name, kind), word in taken.items()}
    return found | ({remote.variadic: rest} if remote.variadic is not None else {})


def _converted(name: str, kind: type, word: str) -> Any:
    if kind is bool:
        if word.lower() not in _TRUE + _FALSE:
            raise UsageError(f"{name} cannot be {word!r}", "write true or false")
        return word.lower() in _TRUE
    try:
        return kind(word)
    except (ValueError, TypeError) as exc:
        raise UsageError(f"{name} cannot be {word!r}", f"{exc}") from exc


def told(answers: Sequence[Mapping[str, Any]] | None, as_json: bool, timeout: float) -> int:
    """Print what the nodes say; the exit code tells whether one of them could not."""
    if answers is None:
        return ExitCode.OK
    if not answers:
        raise UnavailableError(
            f"no node has answered within {timeout:g} s", "see `workerd status` on its machine"
        )
    by_node = {node: value for answer in answers for node, value in answer.items()}
    if as_json:
        click.echo(json.dumps(by_node, indent=2))
    else:
        click.echo("\n".join(line for node in sorted(by_node) for line in lines(node, by_node[node])))
    failed = any(isinstance(value, dict) and "error" in value for value in by_node.values())
    return ExitCode.FAILED if failed else ExitCode.OK


def lines(node: str, value: Any) -> Iterator[str]:
    """One node's answer for people."""
    match value:
        case {"ok": str() as text, **rest} if not rest:
            yield f"{node}: {text}"
        case {"error": text, **rest} if not rest:
            yield f"{node}: error: {text}"
        case None:
            yield f"{node}: done"
        case list() | dict() if not value:
            yield f"{node}: nothing"
        case list():
            yield f"{node}:"
            yield from (f"  {_short(item)}" for item in value)
        case dict():
            yield f"{node}:"
            yield from (f"  {key}: {_short(item)}" for key, item in value.items())
        case _:
            yield f"{node}: {value}"


def _short(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}." if text else ""


def _failing(problem: WorkerdError) -> click.Command:
    """In place of a command that only the app could have."""

    @click.command(context_settings={"ignore_unknown_options": True})
    @common_options
    @click.argument("words", nargs=-1)
    def verb(common: Common, words: tuple[str, ...]) -> NoReturn:
        raise problem

    return verb
