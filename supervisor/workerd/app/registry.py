"""The tasks of an app by name.

Errors:  NotRegistered (a KeyError) for a name that is not there; ConfigError for one that is taken
         and for attributes that no task can have.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from workerd.app.options import check_attributes
from workerd.errors import ConfigError
from workerd.protocol.exceptions import NotRegistered

if TYPE_CHECKING:
    from workerd.app.task import Task


class TaskRegistry(dict[str, "Task"]):
    """Name to task."""

    def __missing__(self, name: str) -> Task:
        raise NotRegistered(name)

    def register(self, task: Task) -> None:
        """Add ``task``; the same function again (a module imported anew) replaces itself."""
        check_attributes(task)
        known = self.get(task.name)
        if known is not None and _home(known) != _home(task):
            raise ConfigError(
                f"two tasks are named {task.name!r}: {_home(known)} and {_home(task)}", "name one with name="
            )
        self[task.name] = task


def _home(task: Task) -> str:
    function = inspect.unwrap(task.run)
    return f"{function.__module__}.{function.__qualname__}"
