"""Calling tasks: arguments, options, links and signatures."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.unit.app.mail import body, memory_app, sent
from workerd import App
from workerd.app.sending.call import CallOptions
from workerd.errors import ConfigError


def test_arguments_are_checked_before_anything_is_sent() -> None:
    with memory_app() as app:
        strict = app.task(name="s")(lambda x: x)
        loose = app.task(name="l", typing=False)(lambda x: x)
        with pytest.raises(TypeError, match="missing a required argument: 'x'"):
            strict.delay()
        loose.delay()
        assert [message.headers["task"] for message in sent(app)] == ["l"]


def test_an_unknown_option_of_a_call_is_an_error_with_the_nearest_one() -> None:
    with pytest.raises(TypeError, match="did you mean 'countdown'"):
        App().send_task("t", count_down=3)


@pytest.mark.parametrize(
    ("args", "kwargs"), [("text", {}), (5, {}), ((), [1])], ids=["a text", "a number", "a list for kwargs"]
)
def test_arguments_of_a_wrong_kind_are_refused(args: Any, kwargs: Any) -> None:
    with pytest.raises(TypeError):
        App().send_task("t", args, kwargs)


def test_options_of_the_task_hold_for_its_calls_unless_they_say_otherwise() -> None:
    with memory_app(task_queue_max_priority=9) as app:
        task = app.task(name="t", time_limit=30, soft_time_limit=20, expires=60, priority=4)(lambda: 1)
        task.delay()
        task.apply_async(time_limit=5, priority=1)
        first, second = sent(app)
        assert sorted(message.headers["timelimit"] for message in (first, second)) == [[5, 20], [30, 20]]
        assert {message.properties["priority"] for message in (first, second)} == {1, 4}
        assert first.headers["expires"] is not None
        assert first.headers["ignore_result"] is False


def test_links_are_signatures_in_the_message() -> None:
    with memory_app() as app:
        task = app.task(name="t")(lambda x: x)
        task.apply_async((1,), link=task.s(), link_error=[task.si(2)])
        embed = body(sent(app)[0])[2]
    assert embed["callbacks"] == [
        {"task": "t", "args": [], "kwargs": {}, "options": {}, "subtask_type": None, "immutable": False}
    ]
    assert (embed["errbacks"][0]["args"], embed["errbacks"][0]["immutable"]) == ([2], True)
    with pytest.raises(TypeError, match="link takes signatures"):
        App().send_task("t", link="t")


def test_a_signature_is_a_call_that_can_be_made_later() -> None:
    with memory_app() as app:
        task = app.task(name="t")(lambda *args, **kwargs: None)
        task.s(2, k=1).set(priority=3).apply_async((1,), {"j": 0})
        app.signature("unknown", (5,), immutable=True).delay(9)
        first, second = sorted(sent(app), key=lambda message: str(message.headers["task"]))
    assert (body(first)[:2], first.properties["priority"]) == ([[1, 2], {"k": 1, "j": 0}], 3)
    assert body(second)[0] == [5]


@pytest.mark.parametrize("options", [{"serializer": "strange"}, {"compression": "strange"}])
def test_a_coding_that_is_not_installed_is_a_configuration_error(options: dict[str, Any]) -> None:
    with memory_app() as app, pytest.raises(ConfigError, match="strange"):
        app.send_task("t", **options)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("task_id", 5),
        ("task_id", ""),
        ("queue", ""),
        ("queue", "q" * 256),
        ("queue", "ä" * 128),
        ("priority", 256),
        ("priority", -1),
        ("priority", "5"),
        ("priority", 5.0),
        ("countdown", "5"),
        ("countdown", float("nan")),
        ("expires", []),
        ("expires", "soon"),
        ("eta", 5),
        ("retries", -1),
        ("headers", [1]),
    ],
)
def test_an_option_of_a_call_that_cannot_be_is_named_with_its_rule(option: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"option '{option}' of a task call cannot be"):
        App().send_task("t", **{option: value})


def test_seconds_may_be_a_timedelta() -> None:
    call = CallOptions.of({"countdown": timedelta(minutes=2), "expires": timedelta(hours=1)})
    assert (call.countdown, call.expires) == (120.0, 3600.0)


def test_a_text_is_no_list_of_arguments_wherever_it_is_given() -> None:
    task = App().task(name="t")(lambda a, b: 1)
    for call in (task.apply_async, task.apply, task.signature, task.s().apply_async):
        with pytest.raises(TypeError, match="args must be a list or a tuple, not 'ab'"):
            call("ab")
