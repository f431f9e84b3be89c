"""Commands of remote control that apps add to those of workerd.

::

    from workerd.worker.control import control_command

    @control_command(args=[("n", int)], signature="[N=1]")
    def widen(state, n=1):
        "Let N more messages wait here."
        state.consumer.qos.increment_eventually(n)
        return {"ok": "wider"}

They run in the supervisor, between two turns of its loop, and must not wait for anything.  ``state`` has
``app``, ``hostname`` and ``consumer``.  What is returned, or raised, is the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeVar

import msgspec

from workerd.control.commands import builtin_commands
from workerd.control.registry import Registry, Remote
from workerd.control.remote.making import app_command

F = TypeVar("F", bound=Callable[..., Any])


class _Declared(msgspec.Struct, frozen=True):
    function: Callable[..., Any]
    remote: Remote
    name: str
    text: str


# One for the process, as the import path that authors know has it: an app declares its commands while it is
# imported, in the process that imports it, and no App is at hand there.
_declared: list[_Declared] = []


def inspect_command(**options: Any) -> Callable[[F], F]:
    """Make a function a command that changes nothing; the options are those of ``control_command``."""
    return _declaring("inspect", **options)


def control_command(**options: Any) -> Callable[[F], F]:
    """Make a function a command that changes something.

    ``name`` (else the function's), ``alias``, ``visible`` in lists of commands, ``default_timeout`` for which
    clients wait (seconds), ``help`` (else the docstring's first line), ``signature`` to be shown, ``args``:
    (name, type) of the words of a command line, ``variadic``: the argument that takes all further words."""
    return _declaring("control", **options)


def all_commands() -> Registry:
    """The commands of workerd and those that were declared.  Errors: ConfigError for a name that is taken."""
    registry = builtin_commands()
    for one in _declared:
        registry.add(app_command(one.function, one.remote, one.name, one.text))
    return registry


def _declaring(  # noqa: PLR0913 (the names are Celery's)
    kind: Literal["inspect", "control"],
    *,
    name: str = "",
    alias: str | None = None,
    visible: bool = True,
    default_timeout: float = 1.0,
    help: str = "",  # noqa: A002
    signature: str = "",
    args: Sequence[tuple[str, type]] = (),
    variadic: str | None = None,
) -> Callable[[F], F]:
    remote = Remote(kind, alias, visible, default_timeout, signature, tuple(args), variadic)

    def declare(function: F) -> F:
        _declared.append(_Declared(function, remote, name, help))
        return function

    return declare
