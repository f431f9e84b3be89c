"""What an app has: routes and queues for its calls, connections, a producer, places for steps and options."""

from __future__ import annotations

import re
from typing import Any

import pytest
from kombu import Exchange, Queue

from tests.unit.app.mail import memory_app
from workerd import App, bootsteps
from workerd.app.sending.call import CallOptions
from workerd.app.sending.drafting import draft_of
from workerd.errors import ConfigError

ROUTES: list[tuple[dict[str, Any], dict[str, Any], tuple[Any, ...]]] = [
    ({}, {}, ("", "celery", "celery")),
    ({"task_default_queue": "d"}, {}, ("", "d", "d")),
    ({}, {"queue": "q"}, ("", "q", "q")),
    ({}, {"queue": "q", "routing_key": "k"}, ("", "q", "q")),
    ({}, {"exchange": "e", "routing_key": "k"}, ("e", "k", None)),
    ({"task_routes": {"proj.*": "routed"}}, {}, ("", "routed", "routed")),
    ({"task_routes": {"proj.*": {"queue": "routed"}}}, {"queue": "q"}, ("", "q", "q")),
    ({"task_routes": {re.compile(r"other\."): "routed"}}, {}, ("", "celery", "celery")),
]


@pytest.mark.parametrize(("settings", "options", "expected"), ROUTES)
def test_messages_go_where_celery_would_send_them(
    settings: dict[str, Any], options: dict[str, Any], expected: tuple[Any, ...]
) -> None:
    app, call = App(**settings), CallOptions.of({**options, "task_id": "i"})
    draft_of(app, "proj.add", (), {}, call)
    route = app.router.route(call)
    assert (route.exchange, route.routing_key, route.queue.name if route.queue else None) == expected


def test_a_declared_queue_brings_its_exchange() -> None:
    queue = Queue("video", Exchange("media", type="topic"), routing_key="media.#")
    app = App(task_queues=[queue, "plain"], task_create_missing_queues=False)
    route = app.router.route(CallOptions.of({"queue": "video"}))
    assert (route.exchange, route.routing_key, route.queue) == ("media", "media.#", queue)
    assert app.router.route(CallOptions.of({"queue": "plain"})).routing_key == "plain"
    assert [queue.name for queue in app.queues] == ["video", "plain"]
    with pytest.raises(ConfigError, match="'missing' is not in task_queues"):
        app.router.route(CallOptions.of({"queue": "missing"}))


def test_steps_and_options_of_the_user_have_their_places_and_a_readable_form() -> None:
    class MyStep(bootsteps.Step):
        name = "proj.MyStep"

    app = App()
    app.steps["worker"].add(MyStep)
    app.user_options["preload"].add("option")
    assert repr(app.steps) == "<Steps consumer: {}, worker: {step:proj.MyStep{()}}>"
    assert repr(app.steps["worker"]) == "{step:proj.MyStep{()}}"
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
