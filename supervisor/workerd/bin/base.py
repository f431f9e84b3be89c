"""What a package writes its options and sub-commands with, under the path that the extension guide knows.

Importing it costs no click: an app that adds an option is imported by every child.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from optparse import Option
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

if TYPE_CHECKING:
    from workerd.app import App

P = ParamSpec("P")
R = TypeVar("R")

GET_APP = "workerd.get_app"
"""In click's ``ctx.meta``: the function that imports the app."""


class Command:
    """A sub-command as a class, for an entry point of the group ``workerd.commands``.

    Its docstring is the help.  What ``run`` returns is the exit code if it is a number, else that is 0.
    """

    args: str = ""
    """How the help writes the words that ``run`` takes as ``*args``."""
    option_list: Iterable[Any] = ()
    """The options, unless ``get_options`` is overridden."""

    def __init__(self, get_app: Callable[[], App]) -> None:
        self._get_app = get_app

    @property
    def app(self) -> App:
        """The app that the command line names, imported when it is first asked for.

        Without one, an App that has no tasks and talks to the broker that the settings name.
        """
        return self._get_app()

    def get_options(self) -> Iterable[Any]:
        """Options of workerd.bin or of click, in the order in which the help shows them."""
        return self.option_list

    def run(self, *args: Any, **options: Any) -> Any:
        """Do it; ``options`` are the values of ``get_options`` by name."""
        raise NotImplementedError(f"{type(self).__name__} has no run()")


def pass_app(function: Callable[Concatenate[App, P], R]) -> Callable[P, R]:
    """Give a click command the app, as ``Command.app`` has it, as its first argument."""

    @wraps(function)
    def verb(*args: P.args, **kwargs: P.kwargs) -> R:
        from click import get_current_context  # noqa: PLC0415 (not needed to import an app)

        return function(get_current_context().meta[GET_APP](), *args, **kwargs)

    return verb


__all__ = ["Command", "Option", "pass_app"]
