"""Typed commands: what may be asked of a daemon, whatever the door it comes through.

A command is a function with a name and a struct for its arguments.  It answers at once by returning
a value, or later through ``request.reply`` by returning ``LATER``.  A request that names no command, or
whose arguments do not fit, is answered with a clear error and never reaches a handler.

There are two doors: the control socket, and remote control over the broker.  One command may stand at
both; where each door has its own of a name, as for ``ping``, they are two commands.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from typing import Any, Generic, Literal, Protocol, TypeVar

import msgspec

from workerd.control.daemon import Daemon, Fact
from workerd.errors import ConfigError, ExitCode, UsageError, WorkerdError, close_matches

log = logging.getLogger(__name__)


class Door(Enum):
    """Where a request comes in."""

    SOCKET = "socket"
    BROKER = "broker"


class Later(Enum):
    """What a handler returns that answers through ``request.reply``, or not at all."""

    LATER = "later"


LATER = Later.LATER


class Reply(Protocol):
    """The way back to whoever asked.  After an answer or an error, nothing more is sent."""

    def event(self, fact: Fact) -> None:
        """One line of a stream, before the answer."""

    def answer(self, value: Any) -> None:
        """It is done; the last word."""

    def fail(self, error: WorkerdError, traceback: str = "") -> None:
        """It cannot be done; the last word."""

    def on_end(self, callback: Callable[[], object]) -> None:
        """Call once after the last word, or when whoever asked has gone before it."""


class Call(msgspec.Struct):
    """One request as it comes from outside."""

    command: str
    args: dict[str, Any] = {}
    stream: bool = False


class NoArguments(msgspec.Struct, forbid_unknown_fields=True):
    """For commands that take none."""


ArgumentsT = TypeVar("ArgumentsT", bound=msgspec.Struct)


class Request(msgspec.Struct, Generic[ArgumentsT], frozen=True):
    """A call whose arguments have been checked.

    ``stream`` is True when facts are wanted before the answer; ``incarnation`` tells one start of the
    daemon's code from the next one in the same process.
    """

    args: ArgumentsT
    stream: bool
    incarnation: str
    reply: Reply
    rest: dict[str, Any] = msgspec.field(default_factory=dict)
    """The arguments that the struct does not name, where it allows such."""


class Remote(msgspec.Struct, frozen=True):
    """What remote control must know of a command beside its arguments.

    ``positional`` are the arguments that a command line gives in this order, and ``variadic`` the one that
    takes all further words; ``timeout`` is how long a client should wait for answers, in seconds.
    """

    kind: Literal["inspect", "control"]
    alias: str | None = None
    visible: bool = True
    timeout: float = 1.0
    signature: str = ""
    positional: tuple[tuple[str, type], ...] = ()
    variadic: str | None = None


Handler = Callable[[Daemon, Request[ArgumentsT]], Any]


class Command(msgspec.Struct, Generic[ArgumentsT], frozen=True):
    """A handler with what the doors must know of it; ``changes`` is False for plain looks."""

    name: str
    handler: Handler[ArgumentsT]
    arguments: type[ArgumentsT]
    changes: bool
    help: str
    doors: frozenset[Door] = frozenset({Door.SOCKET})
    remote: Remote | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Its name, and the older one by which it is known as well."""
        alias = self.remote.alias if self.remote is not None else None
        return (self.name, alias) if alias else (self.name,)

    def __call__(self, daemon: Daemon, call: Call, incarnation: str, reply: Reply) -> Any:
        """Check the arguments and run the handler.  Errors: UsageError, and what the handler raises."""
        fields = self.arguments.__struct_fields__
        try:
            # Clients of remote control send what was typed: "3" for a number.
            args = msgspec.convert(call.args, self.arguments, strict=self.remote is None)
        except msgspec.ValidationError as exc:
            known = ", ".join(fields) or "none"
            raise UsageError(f"wrong arguments for {self.name!r}: {exc}", f"it takes: {known}") from exc
        rest = {name: value for name, value in call.args.items() if name not in fields}
        return self.handler(daemon, Request(args, call.stream, incarnation, reply, rest))


def command(
    name: str, arguments: type[ArgumentsT], *, changes: bool = False, text: str
) -> Callable[[Handler[ArgumentsT]], Command[ArgumentsT]]:
    """Make a handler a command of the control socket; ``text`` is its help, one line."""

    def wrap(handler: Handler[ArgumentsT]) -> Command[ArgumentsT]:
        return Command(name, handler, arguments, changes, text)

    return wrap


class Registry:
    """Commands by door and name.  Errors: ConfigError for a name that is taken."""

    def __init__(self, commands: Iterable[Command[Any]] = ()) -> None:
        self._commands: list[Command[Any]] = []
        self._by_name: dict[Door, dict[str, Command[Any]]] = {door: {} for door in Door}
        for one in commands:
            self.add(one)

    def __iter__(self) -> Iterator[Command[Any]]:
        return iter(self._commands)

    def add(self, one: Command[Any]) -> None:
        """Stand at its doors from now on."""
        for door in one.doors:
            for name in one.names:
                if name in self._by_name[door]:
                    raise ConfigError(f"there are two commands named {name!r}", "rename one")
        self._commands.append(one)
        for door in one.doors:
            self._by_name[door].update(dict.fromkeys(one.names, one))

    def get(self, name: str, door: Door) -> Command[Any] | None:
        """The command ``name`` at ``door``, if there is one."""
        return self._by_name[door].get(name)

    def find(self, name: str, door: Door = Door.SOCKET) -> Command[Any]:
        """The command ``name`` at ``door``.  Errors: UsageError, with the nearest name."""
        there = self._by_name[door]
        if name in there:
            return there[name]
        near = close_matches(name, there, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known commands: {', '.join(there)}"
        raise UsageError(f"unknown command {name!r}", hint)

    def run(
        self, daemon: Daemon, call: Call, incarnation: str, reply: Reply, door: Door = Door.SOCKET
    ) -> None:
        """Run ``call``; its answer or its error goes to ``reply``.  Never raises for a bad request."""
        try:
            value = self.find(call.command, door)(daemon, call, incarnation, reply)
        except WorkerdError as exc:
            reply.fail(exc)
        except Exception as exc:
            log.exception("command %s failed", call.command)
            bug = WorkerdError(f"command {call.command!r} failed: {exc!r}", "see the daemon's log")
            bug.exit_code, bug.__cause__ = ExitCode.BUG, exc
            reply.fail(bug)
        else:
            if value is not LATER:
                reply.answer(value)
