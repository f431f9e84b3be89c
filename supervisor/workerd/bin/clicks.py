"""Options in optparse's spelling as click options, which parse and mean the same.

A value is checked by the option's own class (``check_value``), so that types which an author has added to a
subclass of ``optparse.Option``, as its documentation teaches, work too.

Errors:  ConfigError, one line, for what is no option and for what click cannot do.
"""

from __future__ import annotations

import optparse
from collections.abc import Callable, Iterable
from copy import copy
from typing import Any

import click

from workerd.errors import ConfigError

HINT = "write workerd.bin.Option(...) or click.Option(...)"


def click_options(options: Iterable[Any]) -> list[click.Option]:
    """All of them as click options, by their flags' names, since sets have no order.

    Errors: ConfigError also for two that share a flag.
    """
    found = sorted(map(as_click, options), key=lambda option: option.opts[::-1])
    check_flags(found)
    return found


def as_click(option: Any) -> click.Option:
    """The click option that does what ``option`` does."""
    if isinstance(option, click.Option):
        return option
    if not isinstance(option, optparse.Option):
        raise ConfigError(f"{option!r} is no command-line option", HINT)
    make, name = _ACTIONS.get(option.action or ""), option.dest or ""
    if make is None:
        raise ConfigError(
            f"option {option} has the action {option.action!r}, which is not known here", "use a click.Option"
        )
    if not name.isidentifier():
        raise ConfigError(
            f"option {option} is to be given as {name!r}, which is no name", "write dest='a_name'"
        )
    hidden = option.help == optparse.SUPPRESS_HELP
    return click.Option(
        [*option._short_opts, *option._long_opts, name],
        help=None if hidden else _help(option),
        hidden=hidden,
        **make(option),
    )


def check_flags(options: Iterable[click.Option], taken: Iterable[click.Parameter] = ()) -> None:
    """ConfigError for an option with a flag that another one has, or one of those ``taken`` before."""
    flags = {flag for other in taken for flag in (*other.opts, *other.secondary_opts)}
    for option in options:
        for flag in (*option.opts, *option.secondary_opts):
            if flag in flags:
                raise ConfigError(f"option {flag} is added, and there is one already", "choose another name")
            flags.add(flag)


class _Checked(click.ParamType[Any]):
    """A value as optparse checks it."""

    def __init__(self, option: optparse.Option) -> None:
        self.name = option.type or "string"
        self._option = option

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value  # a default is taken as it is
        flag = str(self._option)
        try:
            return self._option.check_value(flag, value)
        except optparse.OptionValueError as exc:
            self.fail(f"{str(exc).removeprefix(f'option {flag}: ')}.", param, ctx)


def _default(option: optparse.Option) -> Any:
    return None if option.default == optparse.NO_DEFAULT else option.default


def _help(option: optparse.Option) -> str:
    default = _default(option)
    return (option.help or "").replace("%default", "none" if default is None else str(default))


def _valued(option: optparse.Option) -> dict[str, Any]:
    choices = "[" + "|".join(option.choices) + "]" if option.choices else ""
    metavar = option.metavar or choices or (option.dest or "").upper()
    return {"type": _Checked(option), "nargs": option.nargs or 1, "metavar": metavar}


def _store(option: optparse.Option) -> dict[str, Any]:
    return _valued(option) | {"default": _default(option)}


def _store_bool(option: optparse.Option) -> dict[str, Any]:
    value = option.action == "store_true"
    return {"is_flag": True, "flag_value": value, "type": click.BOOL, "default": _default(option)}


def _store_const(option: optparse.Option) -> dict[str, Any]:
    return {
        "is_flag": True,
        "flag_value": option.const,
        "type": click.UNPROCESSED,
        "default": _default(option),
    }


def _append(option: optparse.Option) -> dict[str, Any]:
    return _valued(option) | {"multiple": True, "callback": _added(option, list)}


def _append_const(option: optparse.Option) -> dict[str, Any]:
    return {"count": True, "callback": _added(option, lambda times: [option.const] * times)}


def _count(option: optparse.Option) -> dict[str, Any]:
    return {"count": True, "callback": _added(option, int)}


def _added(option: optparse.Option, made: Callable[[Any], Any]) -> Callable[..., Any]:
    """A click callback: what was typed is added to the default, as optparse does; else the default stands."""

    def value(ctx: click.Context, param: click.Parameter, typed: Any) -> Any:
        default = copy(_default(option))
        if not typed:
            return default
        return made(typed) if default is None else default + made(typed)

    return value


_ACTIONS: dict[str, Callable[[optparse.Option], dict[str, Any]]] = {
    "store": _store,
    "store_true": _store_bool,
    "store_false": _store_bool,
    "store_const": _store_const,
    "append": _append,
    "append_const": _append_const,
    "count": _count,
}
