"""Arguments by position alone are checked by counting, and found as good or bad as by binding them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.app.mail import memory_app
from workerd.app.sending.call import positional

FUNCTIONS: list[Callable[..., Any]] = [
    lambda: None,
    lambda a: None,
    lambda a, b=1: None,
    lambda a, /, b: None,
    lambda *args: None,
    lambda a, *args: None,
    lambda *, a: None,
    lambda a, *, b=1: None,
    lambda a=1, **kwargs: None,
]


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda one: str(inspect.signature(one)))
def test_the_count_says_what_binding_says(function: Callable[..., Any]) -> None:
    signature = inspect.signature(function)
    least, most = positional(signature)
    for count in range(5):
        try:
            signature.bind(*range(count))
        except TypeError:
            assert not least <= count <= most
        else:
            assert least <= count <= most


def test_a_task_says_what_is_wrong_with_the_arguments() -> None:
    with memory_app() as app:
        task = app.task(name="t")(lambda a, b=1: None)
        for args, kwargs, said in [
            ((), {}, "missing a required argument: 'a'"),
            ((1, 2, 3), {}, "too many positional arguments"),
            ((1,), {"c": 1}, "unexpected keyword argument 'c'"),
        ]:
            with pytest.raises(TypeError, match=said):
                task.apply_async(args, kwargs)
        task.apply_async((1,), {"b": 2})
