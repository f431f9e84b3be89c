"""Marks: what a running supervisor has taken from the app, so that a reload can say what needs a restart.

The supervisor imports the app once, for its steps, its options and some settings; a reload replaces only the
children.  A mark is a name for people and a digest of what stands behind it.  Only a step's own class counts:
a change in what it calls is not seen.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from workerd.app.base import App

if TYPE_CHECKING:
    from click import Option


def marks_of(app: App, written: Mapping[str, Any] | None = None) -> dict[str, str]:
    """Name to digest, of everything that the supervisor holds of this app.

    ``written`` are settings as they were before the daemon's own replaced them.
    """
    settings = {**app.daemon_defaults(), **(written or {})}
    held = [*_additions(app), *_settings(app, settings)]
    return {name: hashlib.sha256(text.encode()).hexdigest()[:16] for name, text in held}


def changed(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """The names whose mark is another one, or new, or gone."""
    return sorted(name for name in {*before, *after} if before.get(name) != after.get(name))


def _additions(app: App) -> Iterator[tuple[str, str]]:
    for blueprint, steps in app.steps.items():
        for step in steps:
            yield f"{blueprint} step {_name(step)}", _source(step)
    for verb, options in app.user_options.items():
        for option in _clicks(options):
            yield f"{verb} option {option.opts[-1]}", repr(sorted(option.to_info_dict().items(), key=str))


def _settings(app: App, settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in settings.items():
        if value is not None:
            yield f"setting {name}", repr(value)
    yield "setting timezone", repr(app.daemon_zone())
    yield "settings of results", repr(app.backend_options())


def _clicks(options: Iterable[Any]) -> list[Option]:
    if not options:
        return []
    # click is half a megabyte in every child, and few apps add options.
    from workerd.bin.clicks import click_options  # noqa: PLC0415

    return click_options(options)


def _name(thing: Any) -> str:
    if isinstance(thing, str):
        return thing
    return f"{getattr(thing, '__module__', '?')}.{getattr(thing, '__qualname__', type(thing).__name__)}"


def _source(step: Any) -> str:
    if not isinstance(step, type):
        return str(step)
    try:
        return inspect.getsource(step)
    except (OSError, TypeError):
        # Made while running: its attributes' names are all there is to compare.
        return " ".join(sorted(vars(step)))
