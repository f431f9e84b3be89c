"""Celery's own tasks: those that its clients send to any worker of a cluster.

``celery.group``, ``celery.chain`` and ``celery.chord`` are the marks of signatures; old clients send them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from workerd.app.canvas.chord import Chord
from workerd.app.canvas.kinds import group as make_group
from workerd.app.canvas.maps import Chunks
from workerd.app.canvas.signature import maybe_signature
from workerd.app.canvas.unlock import unlock
from workerd.app.results.group import result_from_tuple
from workerd.app.task import Task
from workerd.backends.keyvalue import KeyValueBackend

if TYPE_CHECKING:
    from workerd.app.base import App


def make_builtin(app: App, name: str) -> Task:
    """The task of this name, for ``app``; it is not among the author's."""
    function, options = _TASKS[name]
    options = {"typing": False, "__module__": __name__, "__doc__": function.__doc__, **options}
    if name == "celery.chord_unlock":
        options["default_retry_delay"] = app.conf.result_chord_retry_interval
    task: Task = type(function.__name__, (Task,), {**options, "app": app, "name": name, "run": function})()
    return task


def accumulate(self: Task, *args: Any, index: int | None = None) -> Any:
    """One of the arguments, or all: what a group that has replaced a task gives as one result."""
    return args if index is None else args[index]


def xmap(self: Task, task: Mapping[str, Any], it: list[Any]) -> list[Any]:
    """The task for each of ``it``, one after the other."""
    called = self.app.tasks[task["task"]]
    return [called(item) for item in it]


def xstarmap(self: Task, task: Mapping[str, Any], it: list[Any]) -> list[Any]:
    """The task for each argument list of ``it``, one after the other."""
    called = self.app.tasks[task["task"]]
    return [called(*item) for item in it]


def chunks(self: Task, task: Mapping[str, Any], it: list[Any], n: int) -> Any:
    """Send the calls of ``Task.chunks``."""
    return Chunks(task, it, n, app=self.app).apply_async()


def group(
    self: Task, tasks: list[Any], result: Any, group_id: str, partial_args: Any, add_to_parent: bool = True
) -> Any:
    """Send the calls of a group, as clients before Celery 4 asked for it."""
    found = result_from_tuple(result, self.app)
    for task in tasks:
        whole = maybe_signature(task, self.app).clone(tuple(partial_args or ()))
        whole.apply_async(group_id=group_id, add_to_parent=False)
    if add_to_parent:
        self.add_trail(found)
    return found


def chain(self: Task, *args: Any, **kwargs: Any) -> None:
    """Nothing that can be run: a chain is sent as its first step."""
    raise NotImplementedError("a chain is no task: its steps are sent one after the other")


def chord(self: Task, header: Any, body: Any, partial_args: Any = (), **kwargs: Any) -> Any:
    """Send a chord, as clients before Celery 4 asked for it."""
    tasks = header["kwargs"]["tasks"] if isinstance(header, Mapping) else header
    return Chord(make_group(tasks, app=self.app).tasks, body, app=self.app).apply_async(
        tuple(partial_args or ())
    )


def backend_cleanup(self: Task) -> None:
    """Remove results whose time is over, where the backend does not do so itself."""
    backend = self.app.backend
    if isinstance(backend, KeyValueBackend):
        backend.clean_up()


_TASKS: Mapping[str, tuple[Callable[..., Any], dict[str, Any]]] = MappingProxyType(
    {
        "celery.accumulate": (accumulate, {}),
        "celery.map": (xmap, {}),
        "celery.starmap": (xstarmap, {}),
        "celery.chunks": (chunks, {}),
        "celery.group": (group, {}),
        "celery.chain": (chain, {}),
        "celery.chord": (chord, {"ignore_result": False}),
        "celery.backend_cleanup": (backend_cleanup, {}),
        "celery.chord_unlock": (unlock, {"max_retries": None, "ignore_result": True}),
    }
)
