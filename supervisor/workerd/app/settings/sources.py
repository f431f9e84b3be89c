"""Where an app takes its settings from: a mapping, a module, any object, by name or named by a variable.

Errors:  ConfigError for a name that leads nowhere.
"""

from __future__ import annotations

import importlib
import inspect
import os
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any

from workerd.app.settings.conf import KNOWN
from workerd.app.settings.old_names import looks_meant, todays_name
from workerd.errors import ConfigError


def settings_of(source: Any, namespace: str | None = None) -> dict[str, Any]:
    """The settings that a mapping, a module (or its name, or ``module:attribute``) or any object holds.

    With a ``namespace`` only names that begin with it count ("CELERY" takes CELERY_BROKER_URL for
    broker_url); without one an object's private names, modules, classes and functions do not count, nor names
    in capitals that are nobody's old ones: a settings module may be for several.
    """
    if isinstance(source, str):
        source = _named(source)
    if namespace:
        start = f"{namespace.rstrip('_')}_"
        return {_within(name, start): value for name, value in _all(source) if name.startswith(start)}
    if isinstance(source, Mapping):
        return dict(source)
    return dict(_public(source))


def source_named_by(variable: str) -> str | None:
    """What that environment variable names; None where it is not set, or empty."""
    return os.environ.get(variable, "").strip() or None


def _within(name: str, start: str) -> str:
    """The setting that ``name``, which begins with the namespace, is for."""
    rest = name.removeprefix(start).lower()
    return rest if rest in KNOWN else todays_name(name, KNOWN) or rest


def _all(source: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(source, Mapping):
        yield from source.items()
    else:
        yield from ((name, getattr(source, name)) for name in dir(source) if not name.startswith("_"))


def _public(source: Any) -> Iterator[tuple[str, Any]]:
    for name, value in _all(source):
        if name == "annotations" or isinstance(value, ModuleType):
            continue
        if name not in KNOWN and (inspect.isclass(value) or inspect.isroutine(value)):
            continue
        if name.isupper() and todays_name(name, KNOWN) is None and not looks_meant(name):
            continue
        yield name, value


def _named(name: str) -> Any:
    module_name, _, attribute = name.partition(":")
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as exc:
        raise ConfigError(
            f"configuration module {name!r} cannot be imported: {exc}", "check its name and sys.path"
        ) from exc
    for part in attribute.split(".") if attribute else ():
        try:
            found = getattr(found, part)
        except AttributeError as exc:
            raise ConfigError(f"configuration {name!r} cannot be found: {exc}", "check its name") from exc
    return found
