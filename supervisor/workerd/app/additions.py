"""What an app adds to the daemon: its bootsteps and its command-line options.

Errors:  ConfigError for a blueprint that does not exist.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from workerd.errors import ConfigError


class Steps(defaultdict[str, set[Any]]):
    """Bootsteps that the app adds, by blueprint: ``app.steps["consumer"].add(MyStep)``."""

    def __init__(self) -> None:
        super().__init__(set, worker=set(), consumer=set())

    def __missing__(self, blueprint: str) -> set[Any]:
        near = get_close_matches(blueprint, self, n=1) or [" or ".join(self)]
        raise ConfigError(f"there is no blueprint {blueprint!r} to add steps to", f"did you mean {near[0]}?")

    def __copy__(self) -> Any:
        return _filled(Steps, self)

    def __reduce__(self) -> Any:
        return _filled, (Steps, dict(self))

    def __repr__(self) -> str:
        shown = ", ".join(f"{key}: {sorted(map(_name, steps))}" for key, steps in sorted(self.items()))
        return f"<Steps {shown}>"


class UserOptions(defaultdict[str, set[Any]]):
    """Command-line options that the app adds, by command; ``preload`` are those of every command."""

    def __init__(self) -> None:
        super().__init__(set, worker=set(), beat=set(), events=set(), preload=set())

    def __copy__(self) -> Any:
        return _filled(UserOptions, self)

    def __reduce__(self) -> Any:
        return _filled, (UserOptions, dict(self))


def _name(step: Any) -> str:
    return step if isinstance(step, str) else str(getattr(step, "__name__", step))


def _filled(kind: type[Steps | UserOptions], sets: Mapping[str, set[Any]]) -> Steps | UserOptions:
    made = kind()
    made.update(sets)
    return made
