"""What becomes of each setting of Celery's in a daemon, in words.

Errors:  ConfigError for a name that is no setting.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from workerd.app.settings.conf import KNOWN, Conf
from workerd.app.settings.daemon import DAEMON
from workerd.app.settings.elsewhere import ELSEWHERE

APP = "app.conf"
"""How the settings of an app are called among the places that a daemon has its own from."""


def verdict(name: str) -> str:
    """What becomes of the setting ``name``: in one line, whatever its value."""
    if name in ELSEWHERE:
        one = ELSEWHERE[name]
        return f"{one.verdict}: {one.why}; {one.instead}"
    if name in DAEMON:
        return f"honoured: the daemon's {DAEMON[name].key}, where nothing stronger sets that"
    return "honoured"


def of_app(conf: Conf, source: Callable[[str], str]) -> Iterator[tuple[str, str]]:
    """Each setting that ``conf`` was given, and what becomes of it.

    ``source`` tells where the daemon has a setting of its own from.
    """
    for name in sorted(conf.given()):
        stands = DAEMON.get(name)
        if stands is not None and source(stands.key) != APP:
            yield name, f"not used: {stands.key} is set by {source(stands.key)}"
        else:
            yield name, verdict(name)


def without_effect(conf: Conf) -> Iterator[str]:
    """A line for each setting that ``conf`` was given and that changes nothing here."""
    for name in sorted(conf.given()):
        if name in ELSEWHERE and conf[name] != ELSEWHERE[name].default:
            one = ELSEWHERE[name]
            yield f"app.conf.{name} has no effect here: {one.why}; {one.instead}"


def of_celery() -> Iterator[tuple[str, str]]:
    """Every setting that is known, and what becomes of it."""
    return ((name, verdict(name)) for name in sorted(KNOWN))
