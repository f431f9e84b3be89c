"""``app.conf``: settings by attribute or item, each checked as it is set.

A setting may have its old name in capitals, ``CELERYD_CONCURRENCY``.

Errors:  ConfigError for a name that is unknown, and for a value that cannot be, or cannot be had here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any

from workerd.app.settings.elsewhere import ELSEWHERE
from workerd.app.settings.names import SETTINGS
from workerd.app.settings.old_names import todays_name
from workerd.errors import ConfigError, close_matches
from workerd.masking import masked_setting

KNOWN = {
    **{name: one.default for name, one in ELSEWHERE.items()},
    **{n: s.default for n, s in SETTINGS.items()},
}
"""Every setting and its default."""

IMPLIED = {"task_acks_on_failure_or_timeout": ("task_acks_on_failure", "task_acks_on_timeout")}
"""Settings that stand for others as long as these are not given themselves."""


class UnknownSettingError(ConfigError, KeyError, AttributeError):
    """There is no setting of this name, also for ``hasattr`` and ``get``."""

    __str__ = ConfigError.__str__


class Conf(MutableMapping[str, Any]):
    """The settings of one app.  Deleting a setting brings its default back."""

    _given: set[str]
    _listeners: dict[str, Callable[[Any], object]]
    version: int
    """Another one after each change, so that what is made of settings need not be made of them each time."""

    def __init__(self, values: Mapping[str, Any] | None = None) -> None:
        # Plain attributes, defaults too: each call of a task reads a dozen of them.
        # Authors add entries to the schedule in place, and the default is every app's.
        self.__dict__.update({**KNOWN, "beat_schedule": {}}, _given=set(), version=0, _listeners={})
        self.update(values or {})

    def given(self) -> dict[str, Any]:
        """What has been set, without the defaults."""
        return {name: self[name] for name in self if name in self._given}

    def on_change(self, name: str, listener: Callable[[Any], object]) -> None:
        """Call ``listener`` with the value of that setting, and with each new one."""
        self._listeners[name] = listener
        listener(self[name])

    def __getitem__(self, name: str) -> Any:
        return self.__dict__[_known(name)]

    def __setitem__(self, name: str, value: Any) -> None:
        name = _known(name)
        check = SETTINGS[name].check if name in SETTINGS else ELSEWHERE[name].check
        try:
            value = check(value)
        except (ValueError, TypeError) as exc:
            raise ConfigError(
                f"app setting {name!r} cannot be {masked_setting(name, value)!r}", str(exc)
            ) from exc
        self._put(name, value)
        self._given.add(name)
        for implied in IMPLIED.get(name, ()):
            if implied not in self._given:
                self._put(implied, value)

    def __delitem__(self, name: str) -> None:
        name = _known(name)
        if name in self._given:
            self._given.discard(name)
            self._put(name, {} if name == "beat_schedule" else KNOWN[name])

    def _put(self, name: str, value: Any) -> None:
        self.__dict__[name] = value
        self.__dict__["version"] += 1
        if (listener := self._listeners.get(name)) is not None:
            listener(value)

    def __iter__(self) -> Iterator[str]:
        return iter(KNOWN)

    def __len__(self) -> int:
        return len(KNOWN)

    def __contains__(self, name: object) -> bool:
        return name in KNOWN or (isinstance(name, str) and todays_name(name, KNOWN) is not None)

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


def _known(name: str) -> str:
    """Today's name of that setting."""
    if name in KNOWN:
        return name
    if (found := todays_name(name, KNOWN)) is not None:
        return found
    near = close_matches(name.lower(), SETTINGS, n=1) or close_matches(name.lower(), ELSEWHERE, n=1)
    hint = f"did you mean {near[0]!r}?" if near else "see the list of settings in the reference"
    raise UnknownSettingError(f"unknown app setting {name!r}", hint)
