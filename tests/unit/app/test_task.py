"""Declaring tasks and calling them: names, options, arguments, and where their messages go."""

from __future__ import annotations

import functools
import re
from datetime import timedelta
from typing import Any

import pytest
from kombu import Exchange, Queue

from tests.unit.app.mail import body, memory_app, sent
from workerd import App, Task
from workerd.app.call import CallOptions
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


ROUTES: list[tuple[dict[str, Any], dict[str, Any], tuple[Any, ...]]] = [
    ({}, {}, ("", "celery", "celery")),
    ({"task_default_queue": "d"}, {}, ("", "d", "d")),
    ({}, {"queue": "q"}, ("", "q", "q")),
    ({}, {"queue": "q", "routing_key": "k"}, ("q", "k", "q")),
    ({}, {"exchange": "e", "routing_key": "k"}, ("e", "k", None)),
    ({"task_routes": {"proj.*": "routed"}}, {}, ("", "routed", "routed")),
    ({"task_routes": {"proj.*": {"queue": "routed"}}}, {"queue": "q"}, ("", "q", "q")),
    ({"task_routes": {re.compile(r"other\."): "routed"}}, {}, ("", "celery", "celery")),
]


@pytest.mark.parametrize(("settings", "options", "expected"), ROUTES)
def test_messages_go_where_celery_would_send_them(
    settings: dict[str, Any], options: dict[str, Any], expected: tuple[Any, ...]
) -> None:
    route = App(**settings).publisher.route("proj.add", CallOptions.of(options))
    assert (route.exchange, route.routing_key, route.queue.name if route.queue else None) == expected


def test_a_declared_queue_brings_its_exchange() -> None:
    queue = Queue("video", Exchange("media", type="topic"), routing_key="media.#")
    app = App(task_queues=[queue, "plain"], task_create_missing_queues=False)
    route = app.publisher.route("t", CallOptions.of({"queue": "video"}))
    assert (route.exchange, route.routing_key, route.queue) == ("media", "media.#", queue)
    assert app.publisher.route("t", CallOptions.of({"queue": "plain"})).routing_key == "plain"
    assert [queue.name for queue in app.queues] == ["video", "plain"]
    with pytest.raises(ConfigError, match="'missing' is not in task_queues"):
        app.publisher.route("t", CallOptions.of({"queue": "missing"}))


def test_steps_and_options_of_the_user_have_their_places_and_a_readable_form() -> None:
    class MyStep: ...

    app = App()
    app.steps["worker"].add(MyStep)
    app.user_options["preload"].add("option")
    assert repr(app.steps) == "<Steps consumer: [], worker: ['MyStep']>"
    assert set(app.user_options) == {"worker", "beat", "events", "preload"}


def test_a_pooled_producer_can_be_borrowed() -> None:
    with (
        memory_app() as app,
        app.producer_or_acquire() as producer,
        app.producer_or_acquire(producer) as same,
    ):
        assert same is producer


def test_an_app_holds_settings_for_connections() -> None:
    app = App(broker="redis://:secret@a/1", broker_read_url="redis://b/2", broker_transport_options={"x": 1})
    read, write = app.connection_for_read(), app.connection_for_write()
    assert (read.hostname, write.hostname) == ("b", "a")
    # A silent server is waited for five seconds, unless the app says otherwise.
    assert write.transport_options == {"x": 1, "socket_timeout": 5.0, "socket_connect_timeout": 5.0}
    assert App(broker="amqp://a").connection_for_write().transport_options == {"confirm_publish": True}


@pytest.mark.parametrize("options", [{"serializer": "strange"}, {"compression": "strange"}])
def test_a_coding_that_is_not_installed_is_a_configuration_error(options: dict[str, Any]) -> None:
    with memory_app() as app, pytest.raises(ConfigError, match="strange"):
        app.send_task("t", **options)


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
