"""Make a task of a function.

Errors:  ConfigError for an option that cannot be, a base that is no Task, and for what is no plain function.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from workerd.app.settings.options import checked
from workerd.app.task import Task
from workerd.errors import ConfigError

if TYPE_CHECKING:
    from workerd.app.base import App


def make_task(app: App, function: Callable[..., Any], options: Mapping[str, Any]) -> Task:
    """A registered task that runs ``function``; with ``bind`` it gets the task as its first argument."""
    _check_function(function)
    options = dict(options)
    bind, base = options.pop("bind", False), options.pop("base", None) or Task
    if not isinstance(bind, bool):
        raise ConfigError(
            f"task option 'bind' of {function.__name__} cannot be {bind!r}", "write True or False"
        )
    if not (isinstance(base, type) and issubclass(base, Task)):
        raise ConfigError(f"base of task {function.__name__} is {base!r}", "name a subclass of workerd.Task")
    attributes = checked(function.__name__, options)
    name = attributes.pop("name", None) or app.task_name(function.__name__, function.__module__)
    cls = type(
        function.__name__,
        (base,),
        {
            **attributes,
            "app": app,
            "name": name,
            "run": function if bind else staticmethod(function),
            "__doc__": function.__doc__,
            "__module__": function.__module__,
            "__qualname__": function.__qualname__,
            "__wrapped__": function,
        },
    )
    task: Task = cls()
    app.tasks.register(task)
    return task


def _check_function(function: Any) -> None:
    if isinstance(function, type) and issubclass(function, Task):
        raise ConfigError(
            f"{function.__name__} is a task class, not a function", "use app.register_task(...) for it"
        )
    if not inspect.isroutine(function):
        raise ConfigError(f"@app.task takes a function, not {function!r}", "write a `def` that calls it")
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise ConfigError(
            f"task {function.__name__} is an `async def`, which a child does not await",
            "write a `def` that calls asyncio.run(...)",
        )
