"""Make commands of remote control: those of workerd from typed handlers, those of an app from functions.

A function of an app takes ``state`` and its arguments by name::

    @control_command(args=[("n", int)], signature="[N=1]")
    def widen(state, n=1):
        "Let N more messages wait here."
        ...
        return {"ok": "done"}

Errors: ConfigError for a function whose arguments cannot be told by name.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import msgspec

from workerd.control.daemon import Daemon
from workerd.control.registry import (
    ArgumentsT,
    Command,
    Door,
    Handler,
    Remote,
    Request,
)
from workerd.errors import ConfigError

BOTH = frozenset(Door)
BROKER = frozenset({Door.BROKER})


def remote_command(
    remote: Remote,
    arguments: type[ArgumentsT],
    *,
    text: str,
    name: str = "",
    changes: bool | None = None,
    doors: frozenset[Door] = BOTH,
) -> Callable[[Handler[ArgumentsT]], Command[ArgumentsT]]:
    """Make a typed handler a command, named like its function unless ``name`` says otherwise.

    Commands of the kind "control" count as changes."""
    changing = remote.kind == "control" if changes is None else changes

    def wrap(handler: Handler[ArgumentsT]) -> Command[ArgumentsT]:
        return Command(name or handler.__name__, handler, arguments, changing, text, doors, remote)

    return wrap


def app_command(function: Callable[..., Any], remote: Remote, name: str = "", text: str = "") -> Command[Any]:
    """A command that is a function of the app; its docstring tells its help where ``text`` is empty."""
    arguments = struct_of(function, dict(remote.positional))

    def handler(daemon: Daemon, request: Request[Any]) -> Any:
        return function(daemon.node.state(), **msgspec.structs.asdict(request.args), **request.rest)

    said = (text or inspect.getdoc(function) or "").partition("\n")[0].strip()
    changes = remote.kind == "control"
    return Command(name or function.__name__, handler, arguments, changes, said, BOTH, remote)


def struct_of(function: Callable[..., Any], types: dict[str, type]) -> type[msgspec.Struct]:
    """The arguments of a function after its first one; each may be anything that ``types`` does not name."""
    state, *others = inspect.signature(function).parameters.values() or (None,)
    if state is None or state.kind in (state.KEYWORD_ONLY, state.VAR_KEYWORD):
        raise ConfigError(f"command {function.__qualname__} takes no arguments", "let it take `state` first")
    fields: list[Any] = []
    for one in others:
        if one.kind in (one.POSITIONAL_ONLY, one.VAR_POSITIONAL):
            raise ConfigError(
                f"command {function.__qualname__} cannot be given {one.name!r} by name",
                "arguments of commands are named",
            )
        if one.kind is not one.VAR_KEYWORD:
            kind: Any = types.get(one.name, Any)
            kind = kind if kind in (str, int, float, bool) else Any
            required = one.default is one.empty
            fields.append((one.name, kind) if required else (one.name, kind | None, one.default))
    open_ended = any(one.kind is one.VAR_KEYWORD for one in others)
    return msgspec.defstruct(function.__name__, fields, kw_only=True, forbid_unknown_fields=not open_ended)
