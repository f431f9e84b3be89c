"""What an app adds to the daemon: its bootsteps and its command-line options.

Errors:  ConfigError for a blueprint that does not exist.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from workerd.bootsteps.stepset import StepSet
from workerd.errors import ConfigError, close_matches


class Steps(defaultdict[str, StepSet]):
    """Bootsteps that the app adds, by blueprint: ``app.steps["consumer"].add(MyStep)``."""

    def __init__(self) -> None:
        super().__init__(StepSet, worker=StepSet(), consumer=StepSet())

    def __missing__(self, blueprint: str) -> StepSet:
        near = close_matches(blueprint, self, n=1) or [" or ".join(self)]
        raise ConfigError(f"there is no blueprint {blueprint!r} to add steps to", f"did you mean {near[0]}?")

    def __copy__(self) -> Any:
        return _filled(Steps, self)

    def __reduce__(self) -> Any:
        return _filled, (Steps, dict(self))

    def __repr__(self) -> str:
        return f"<Steps {', '.join(f'{key}: {steps!r}' for key, steps in sorted(self.items()))}>"


class UserOptions(defaultdict[str, set[Any]]):
    """Command-line options that the app adds, by command; ``preload`` are those of every command."""

    def __init__(self) -> None:
        super().__init__(set, worker=set(), beat=set(), events=set(), preload=set())

    def __copy__(self) -> Any:
        return _filled(UserOptions, self)

    def __reduce__(self) -> Any:
        return _filled, (UserOptions, dict(self))


def _filled(kind: type[Steps | UserOptions], sets: Mapping[str, Any]) -> Steps | UserOptions:
    made = kind()
    made.update(sets)
    return made
