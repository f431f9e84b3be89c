"""``app.conf``: settings by attribute or item, each checked as it is set.

Errors:  ConfigError for a name that is unknown or not honoured, and for a value that cannot be.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator, Mapping, MutableMapping
from difflib import get_close_matches
from types import ModuleType
from typing import Any

from workerd.app.settings import SETTINGS
from workerd.app.settings_elsewhere import NOT_HONOURED
from workerd.errors import ConfigError


class UnknownSettingError(ConfigError, KeyError, AttributeError):
    """There is no setting of this name, also for ``hasattr`` and ``get``."""

    __str__ = ConfigError.__str__


class Conf(MutableMapping[str, Any]):
    """The settings of one app.  Deleting a setting brings its default back."""

    _given: dict[str, Any]

    def __init__(self, values: Mapping[str, Any] | None = None) -> None:
        object.__setattr__(self, "_given", {})
        self.update(values or {})

    def given(self) -> dict[str, Any]:
        """What has been set, without the defaults."""
        return dict(self._given)

    def __getitem__(self, name: str) -> Any:
        if name in self._given:
            return self._given[name]
        if name not in SETTINGS:
            raise _unknown(name)
        return SETTINGS[name].default

    def __setitem__(self, name: str, value: Any) -> None:
        if name not in SETTINGS:
            raise _unknown(name)
        try:
            self._given[name] = SETTINGS[name].check(value)
        except (ValueError, TypeError) as exc:
            raise ConfigError(f"app setting {name!r} cannot be {value!r}", str(exc)) from exc

    def __delitem__(self, name: str) -> None:
        self._given.pop(name, None)

    def __iter__(self) -> Iterator[str]:
        return iter(SETTINGS)

    def __len__(self) -> int:
        return len(SETTINGS)

    def __contains__(self, name: object) -> bool:
        return name in SETTINGS

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return self[name]

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __delattr__(self, name: str) -> None:
        del self[name]

    def __repr__(self) -> str:
        return f"<Conf {', '.join(sorted(self._given)) or 'defaults'}>"


def settings_of(source: Any, namespace: str | None = None) -> dict[str, Any]:
    """The settings that a mapping, a module (or its name) or any object holds.

    With a ``namespace`` only names that begin with it count ("CELERY" takes CELERY_BROKER_URL for
    broker_url); without one an object's private names, modules, classes and functions do not count.
    """
    if isinstance(source, str):
        source = _imported(source)
    values = dict(source) if isinstance(source, Mapping) else dict(_public(source, namespace))
    if namespace is None:
        return values
    start = f"{namespace}_"
    return {
        name.removeprefix(start).lower(): value for name, value in values.items() if name.startswith(start)
    }


def _public(source: Any, namespace: str | None) -> Iterator[tuple[str, Any]]:
    for name in dir(source):
        value = getattr(source, name)
        code = isinstance(value, ModuleType) or inspect.isclass(value) or inspect.isroutine(value)
        if not name.startswith("_") and (namespace is not None or not code) and name != "annotations":
            yield name, value


def _imported(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as exc:
        raise ConfigError(
            f"configuration module {name!r} cannot be imported: {exc}", "check its name and sys.path"
        ) from exc


def _unknown(name: str) -> UnknownSettingError:
    if name in NOT_HONOURED:
        return UnknownSettingError(
            f"app setting {name!r} is known from Celery and not honoured here yet", "leave it out for now"
        )
    near = get_close_matches(name.lower(), SETTINGS, n=1) or get_close_matches(
        name.lower(), NOT_HONOURED, n=1
    )
    hint = f"did you mean {near[0]!r}?" if near else "see the list of settings in the reference"
    return UnknownSettingError(f"unknown app setting {name!r}", hint)
