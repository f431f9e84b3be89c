"""Declaring tasks: names, options, classes, and what cannot be one."""

from __future__ import annotations

import functools
import re
from typing import Any

import pytest

from workerd import App, Task
from workerd.errors import ConfigError
from workerd.exceptions import NotRegistered


def test_the_decorator_works_with_and_without_parentheses() -> None:
    app = App("proj")

    @app.task
    def bare(x: int) -> int:
        """Says what it does."""
        return x

    @app.task()
    def empty(x: int) -> int:
        return x

    @app.task(name="other.name", bind=True)
    def bound(self: Task, x: int) -> tuple[str, int]:
        return self.name, x

    assert (bare(1), empty(2), bound(3)) == (1, 2, ("other.name", 3))
    assert bare.name == f"{__name__}.bare"
    assert bare.__doc__ == "Says what it does."
    assert app.tasks["other.name"] is bound
    with pytest.raises(NotRegistered):
        app.tasks["missing"]


def test_a_script_names_its_tasks_after_the_app() -> None:
    assert App("proj").task_name("add", "__main__") == "proj.add"
    assert App().task_name("add", "__main__") == "__main__.add"


def test_two_functions_under_one_name_are_an_error() -> None:
    app = App()
    app.task(name="t")(lambda: 1)

    def other() -> int:
        return 2

    with pytest.raises(ConfigError, match=re.escape("two tasks are named 't'")):
        app.task(name="t")(other)


def test_options_are_attributes_and_settings_stand_in_for_them() -> None:
    app = App(task_time_limit=9, task_ignore_result=True, task_serializer="json")

    @app.task(time_limit=5, max_retries=None, throws=KeyError, ignore_result=None)
    def limited() -> None: ...

    assert (limited.time_limit, limited.max_retries, limited.throws) == (5, None, (KeyError,))
    assert (limited.ignore_result, limited.acks_late, limited.track_started) == (True, True, False)
    app.conf.task_track_started = True
    assert limited.track_started is True


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"max_retry": 1}, "did you mean 'max_retries'"),
        ({"pydantic": True}, "not honoured here yet"),
        ({"throws": "KeyError"}, "exception classes"),
        ({"base": dict}, "subclass of workerd.Task"),
    ],
)
def test_an_option_that_cannot_be_is_a_clear_error(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        App().task(**options)(lambda: 1)


def test_a_task_can_be_a_class() -> None:
    app = App()

    class Adder(app.Task):  # type: ignore[name-defined,misc]
        max_retries = 7

        def run(self, x: int) -> int:
            return x + 1

    task = app.register_task(Adder)
    assert (task(1), task.name, task.max_retries) == (2, f"{__name__}.Adder", 7)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("time_limit", "x"),
        ("time_limit", 0),
        ("soft_time_limit", float("inf")),
        ("max_retries", "3"),
        ("max_retries", True),
        ("max_retries", -1),
        ("default_retry_delay", "soon"),
        ("retry_backoff", "x"),
        ("retry_backoff_max", float("nan")),
        ("retry_jitter", 1),
        ("retry_kwargs", [1]),
        ("queue", 5),
        ("queue", ""),
        ("acks_late", "no"),
        ("expires", "tomorrow"),
        ("priority", 256),
        ("rate_limit", "ten"),
        ("name", "n" * 256),
        ("bind", "yes"),
        ("autoretry_for", 5),
    ],
)
def test_a_value_that_an_option_cannot_have_is_named_with_its_rule(option: str, value: Any) -> None:
    def slow() -> None: ...

    with pytest.raises(ConfigError) as caught:
        App().task(**{option: value})(slow)
    assert f"'{option}' of slow cannot be {value!r}; write" in str(caught.value)


def test_attributes_of_a_task_class_are_checked_as_options_are() -> None:
    app = App()

    class Base(Task):
        time_limit = "x"  # type: ignore[assignment]

    with pytest.raises(ConfigError, match=r"'time_limit' of .* cannot be 'x'"):
        app.task(base=Base)(lambda: 1)
    with pytest.raises(ConfigError, match=r"'time_limit' of .* cannot be 'x'"):
        app.register_task(Base)
    assert not app.tasks


def test_one_exception_class_as_an_attribute_is_as_good_as_several() -> None:
    class Patient(Task):
        autoretry_for = OSError  # type: ignore[assignment]

    task = App().task(base=Patient)(lambda: 1)
    assert task.autoretry_for == (OSError,)


class _Callable:
    def __call__(self) -> None: ...


async def _coroutine() -> None: ...


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (_coroutine, "asyncio.run"),
        (functools.partial(print, 1), "takes a function"),
        (_Callable(), "takes a function"),
        (Task, "register_task"),
    ],
    ids=["async", "partial", "object", "class"],
)
def test_what_is_no_plain_function_is_refused_with_what_to_do(function: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        App().task(function)
