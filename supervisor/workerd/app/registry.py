"""The tasks of an app by name.

Errors:  NotRegistered (a KeyError) for a name that is not there; ConfigError for one that is taken
         and for attributes that no task can have.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from workerd.app.settings.annotations import annotate
from workerd.app.settings.options import check_attributes
from workerd.errors import ConfigError
from workerd.protocol.exceptions import NotRegistered

BUILTIN = frozenset(
    f"celery.{name}"
    for name in (
        "accumulate",
        "backend_cleanup",
        "chain",
        "chord",
        "chord_unlock",
        "chunks",
        "group",
        "map",
        "starmap",
    )
)
"""Tasks that every worker of a cluster has."""

if TYPE_CHECKING:
    from workerd.app.base import App
    from workerd.app.task import Task


class TaskRegistry(dict[str, "Task"]):
    """Name to task; Celery's own, such as ``celery.map``, are made when they are asked for."""

    def __init__(self, app: App) -> None:
        super().__init__()
        self._app = app
        self._builtin: dict[str, Task] = {}
        self._annotations: tuple[Any, ...] = ()

    def __missing__(self, name: str) -> Task:
        if name not in BUILTIN:
            raise NotRegistered(name)
        if name not in self._builtin:
            # They are made of canvases, which are made of tasks.
            from workerd.app.canvas.builtin import make_builtin  # noqa: PLC0415

            self._builtin[name] = make_builtin(self._app, name)
        return self._builtin[name]

    def get(self, name: str, default: Any = None) -> Task | Any:
        """The task, or ``default``."""
        return self[name] if name in self or name in BUILTIN else default

    def with_builtin(self) -> dict[str, Task]:
        """The author's tasks and Celery's."""
        return {**{name: self[name] for name in BUILTIN}, **self}

    def register(self, task: Task) -> None:
        """Add ``task``; the same function again (a module imported anew) replaces itself."""
        check_attributes(task)
        known = self.get(task.name)
        if known is not None and _home(known) != _home(task):
            raise ConfigError(
                f"two tasks are named {task.name!r}: {_home(known)} and {_home(task)}", "name one with name="
            )
        annotate(task, self._annotations)
        self[task.name] = task

    def annotate(self, annotations: tuple[Any, ...] | None) -> None:
        """Give every task, also those that come later, what the setting ``task_annotations`` says."""
        self._annotations = annotations or ()
        for task in self.values():
            annotate(task, self._annotations)


def _home(task: Task) -> str:
    function = inspect.unwrap(task.run)
    return f"{function.__module__}.{function.__qualname__}"
