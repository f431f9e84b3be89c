"""``task_annotations``: options that the settings give to tasks, over those of their own code.

They are a mapping of task names to options (``"*"`` is every task), an object with ``annotate(task)`` and
``annotate_any()``, or a list of these; what a task is given by its name goes before what all are given.

Errors:  ConfigError for an option that a task does not have, or not with this value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from workerd.app.settings.options import checked
from workerd.errors import ConfigError

if TYPE_CHECKING:
    from workerd.app.task import Task


def task_annotations(value: Any) -> tuple[Any, ...]:
    """A check: one annotation, or several; always as a tuple."""
    several = tuple(value) if isinstance(value, (list, tuple)) else (value,)
    return tuple(_annotation(one) for one in several)


def annotate(task: Task, given: tuple[Any, ...]) -> None:
    """Give ``task`` the options that are meant for it."""
    for options in _options_for(task, given):
        if hooks := [name for name in options if str(name).startswith("@")]:
            raise ConfigError(
                f"task_annotations cannot replace the method {hooks[0]!r} of {task.name}",
                "write a base class for it: @app.task(base=...)",
            )
        for name, value in checked(task.name, options).items():
            setattr(task, name, value)


def _annotation(value: Any) -> Any:
    if isinstance(value, Mapping):
        for name, options in value.items():
            if not isinstance(name, str) or not isinstance(options, Mapping):
                raise ValueError(
                    'write options by the name of their task: {"proj.add": {"rate_limit": "1/s"}}'
                )
        return {name: dict(options) for name, options in value.items()}
    if callable(getattr(value, "annotate", None)) or callable(getattr(value, "annotate_any", None)):
        return value
    raise ValueError("write a mapping of task names to options, or an object with annotate(task)")


def _options_for(task: Task, given: tuple[Any, ...]) -> Iterator[Mapping[str, Any]]:
    for one in given:
        if isinstance(one, Mapping):
            found = (one.get("*"), one.get(task.name))
        else:
            found = (_asked(one, "annotate_any"), _asked(one, "annotate", task))
        yield from (options for options in found if options)


def _asked(annotation: Any, method: str, *args: Any) -> Any:
    ask = getattr(annotation, method, None)
    return None if ask is None else ask(*args)
