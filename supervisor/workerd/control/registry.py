"""Typed commands: what an operator may ask of a daemon, whatever the door it comes through.

A command is a function with a name and a struct for its arguments.  It answers at once by returning
a mapping, or later through ``request.reply`` by returning None.  A request that names no command, or
whose arguments do not fit, is answered with a clear error and never reaches a handler.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from workerd.control.daemon import Daemon, Fact
from workerd.errors import ConfigError, ExitCode, UsageError, WorkerdError

log = logging.getLogger(__name__)


class Reply(Protocol):
    """The way back to whoever asked.  After an answer or an error, nothing more is sent."""

    def event(self, fact: Fact) -> None:
        """One line of a stream, before the answer."""

    def answer(self, value: Mapping[str, Any]) -> None:
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


@dataclass(frozen=True, slots=True)
class Request(Generic[ArgumentsT]):
    """A call whose arguments have been checked.

    ``stream`` is True when facts are wanted before the answer; ``incarnation`` tells one start of the
    daemon's code from the next one in the same process.
    """

    args: ArgumentsT
    stream: bool
    incarnation: str
    reply: Reply


@dataclass(frozen=True, slots=True)
class Command(Generic[ArgumentsT]):
    """A handler with what the doors must know of it; ``changes`` is False for plain looks."""

    name: str
    handler: Callable[[Daemon, Request[ArgumentsT]], dict[str, Any] | None]
    arguments: type[ArgumentsT]
    changes: bool
    help: str

    def __call__(self, daemon: Daemon, call: Call, incarnation: str, reply: Reply) -> dict[str, Any] | None:
        """Check the arguments and run the handler.  Errors: UsageError, and what the handler raises."""
        try:
            args = msgspec.convert(call.args, self.arguments)
        except msgspec.ValidationError as exc:
            known = ", ".join(self.arguments.__struct_fields__) or "none"
            raise UsageError(f"wrong arguments for {self.name!r}: {exc}", f"it takes: {known}") from exc
        return self.handler(daemon, Request(args, call.stream, incarnation, reply))


def command(
    name: str, arguments: type[ArgumentsT], *, changes: bool = False, text: str
) -> Callable[[Callable[[Daemon, Request[ArgumentsT]], dict[str, Any] | None]], Command[ArgumentsT]]:
    """Make a handler a command; ``text`` is its help, one line."""

    def wrap(handler: Callable[[Daemon, Request[ArgumentsT]], dict[str, Any] | None]) -> Command[ArgumentsT]:
        return Command(name, handler, arguments, changes, text)

    return wrap


class Registry:
    """Commands by name.  Errors: ConfigError for a name that is taken."""

    def __init__(self, commands: Iterable[Command[Any]] = ()) -> None:
        self._commands: dict[str, Command[Any]] = {}
        for one in commands:
            self.add(one)

    def __iter__(self) -> Iterator[Command[Any]]:
        return iter(self._commands.values())

    def add(self, one: Command[Any]) -> None:
        if one.name in self._commands:
            raise ConfigError(f"there are two commands named {one.name!r}", "rename one")
        self._commands[one.name] = one

    def find(self, name: str) -> Command[Any]:
        """The command ``name``.  Errors: UsageError, with the nearest name."""
        if name in self._commands:
            return self._commands[name]
        near = get_close_matches(name, self._commands, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known commands: {', '.join(self._commands)}"
        raise UsageError(f"unknown command {name!r}", hint)

    def run(self, daemon: Daemon, call: Call, incarnation: str, reply: Reply) -> None:
        """Run ``call``; its answer or its error goes to ``reply``.  Never raises for a bad request."""
        try:
            value = self.find(call.command)(daemon, call, incarnation, reply)
        except WorkerdError as exc:
            reply.fail(exc)
        except Exception as exc:
            log.exception("command %s failed", call.command)
            bug = WorkerdError(f"command {call.command!r} failed: {exc!r}", "see the daemon's log")
            bug.exit_code = ExitCode.BUG
            reply.fail(bug)
        else:
            if value is not None:
                reply.answer(value)
