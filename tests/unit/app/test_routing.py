"""Where messages go: each case is asked of Celery too, which sends with a producer that only notes."""

from __future__ import annotations

import re
from typing import Any

import pytest
from celery import Celery
from kombu import Connection, Exchange, Queue
from kombu.common import Broadcast

from workerd import App, worker_direct
from workerd.app.sending.call import CallOptions
from workerd.app.sending.drafting import draft_of
from workerd.app.sending.queues import is_plain
from workerd.app.sending.routing import Route
from workerd.errors import ConfigError

Settings = dict[str, Any]


class Notes:
    """A producer, as far as Celery needs one."""

    auto_declare = False

    def __init__(self) -> None:
        self.connection = Connection("memory://")
        self.sent: dict[str, Any] = {}

    def publish(self, _body: Any, **how: Any) -> None:
        self.sent = how


def celerys_way(settings: Settings, task: str, options: Settings) -> Any:
    """(exchange, routing key, names of the queues that it declares, priority) of Celery's message."""
    app, notes = (
        Celery("proj", broker="memory://", set_as_current=False, config_source=dict(settings)),
        Notes(),
    )
    app.send_task(task, (1,), producer=notes, **options)
    sent = notes.sent
    exchange = getattr(sent["exchange"], "name", sent["exchange"])
    return (
        exchange,
        sent["routing_key"],
        [queue.name for queue in sent["declare"] or ()],
        sent.get("priority"),
    )


def route_of(app: App, task: str, options: Settings) -> tuple[Route, CallOptions]:
    call = CallOptions.of({**options, "task_id": "i"})
    draft_of(app, task, (1,), {}, call)
    return app.router.route(call), call


def our_way(settings: Settings, task: str, options: Settings) -> Any:
    route, call = route_of(App("proj", **settings), task, options)
    exchange = getattr(route.exchange, "name", route.exchange)
    declared = [] if route.declare is None or isinstance(route.declare, Exchange) else [route.declare.name]
    return exchange, route.routing_key, declared, call.priority


def by_number(name: str, args: Any, kwargs: Any, options: Any, task: Any = None, **_: Any) -> Any:
    return {"queue": "odd", "priority": 7} if args and args[0] % 2 else None


class OldRouter:
    """A router as they were before Celery 4."""

    def route_for_task(self, task: str, args: Any = None, kwargs: Any = None) -> Any:
        return {"queue": "old"} if task.startswith("old.") else None


TOPIC = Queue("video", Exchange("media", type="topic"), routing_key="media.video.#")
FANOUT = Queue("all", Exchange("every", type="fanout"))
BARE = Queue("bare")
CASES: list[tuple[Settings, str, Settings]] = [
    ({}, "t", {}),
    ({"task_default_queue": "d"}, "t", {}),
    ({"task_default_queue": "d", "task_default_exchange": "x", "task_default_routing_key": "k"}, "t", {}),
    ({"task_default_exchange": "x", "task_default_exchange_type": "topic"}, "t", {}),
    ({}, "t", {"queue": "q"}),
    ({}, "t", {"queue": "q", "routing_key": "k"}),
    ({}, "t", {"queue": "q", "exchange": "e", "routing_key": "k"}),
    ({"task_queues": (TOPIC,)}, "t", {"queue": "video"}),
    ({"task_queues": (TOPIC,)}, "t", {"queue": "video", "routing_key": "media.video.cut"}),
    ({"task_queues": (FANOUT, BARE)}, "t", {"queue": "all"}),
    ({"task_queues": (FANOUT, BARE)}, "t", {"queue": "bare"}),
    (
        {"task_queues": {"m": {"exchange": "me", "exchange_type": "topic", "binding_key": "b.#"}}},
        "t",
        {"queue": "m"},
    ),
    ({"task_create_missing_queue_exchange_type": "topic"}, "t", {"queue": "q"}),
    ({"task_routes": {"proj.*": "routed"}}, "proj.add", {}),
    ({"task_routes": {"proj.*": "routed"}}, "other.add", {}),
    ({"task_routes": {"proj.*": "glob", "proj.add": "exact"}}, "proj.add", {}),
    ({"task_routes": {re.compile(r"proj\.(add|mul)"): {"queue": "maths", "priority": 3}}}, "proj.mul", {}),
    (
        {
            "task_routes": {"proj.*": {"queue": "video", "routing_key": "media.video.cut"}},
            "task_queues": (TOPIC,),
        },
        "proj.x",
        {},
    ),
    ({"task_routes": {"proj.*": {"queue": "routed", "priority": 3}}}, "proj.add", {"queue": "own"}),
    ({"task_routes": {"proj.*": {"queue": "routed", "priority": 3}}}, "proj.add", {"priority": 5}),
    ({"task_routes": ([("a.*", {"queue": "a"}), ("b.*", {"queue": "b"})],)}, "b.x", {}),
    ({"task_routes": (by_number, {"t": "even"})}, "t", {}),
    ({"task_routes": "tests.unit.app.test_routing.by_number"}, "t", {}),
    ({"task_routes": ("tests.unit.app.test_routing:by_number",)}, "t", {}),
    ({"task_routes": (OldRouter(), {"*": "rest"})}, "old.x", {}),
    ({"task_routes": ("tests.unit.app.test_routing.OldRouter", {"*": "rest"})}, "new.x", {}),
]


@pytest.mark.parametrize("case", CASES)
def test_messages_go_where_celery_sends_them(case: tuple[Settings, str, Settings]) -> None:
    settings, task, options = case
    exchange, key, declared, priority = our_way(settings, task, options)
    theirs = celerys_way(settings, task, options)
    assert (exchange, key, declared) == theirs[:3]
    assert (priority or 0) == (theirs[3] or 0)


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({}, "celery"),
        ({"task_default_queue_type": "quorum"}, "celery"),
        ({"task_create_missing_queue_type": "quorum"}, "q"),
        ({"task_create_missing_queue_exchange_type": "fanout"}, "q"),
        ({"task_queue_max_priority": 9}, "celery"),
        ({"task_queue_max_priority": 9, "task_queues": (Queue("q"),)}, "q"),
        (
            {
                "task_queue_max_priority": 9,
                "task_queues": (Queue("q", queue_arguments={"x-max-priority": 3}),),
            },
            "q",
        ),
        ({"task_queues": {"q": {"exchange": "e", "routing_key": "k", "durable": False}}}, "q"),
        ({"task_queues": (Queue("q", alias="other"),)}, "other"),
    ],
)
def test_queues_are_declared_as_celery_declares_them(settings: Settings, name: str) -> None:
    ours = App(**settings).queue(name)
    theirs = Celery(broker="memory://", set_as_current=False, config_source=dict(settings)).amqp.queues[name]

    def form(queue: Any) -> Any:
        arguments = dict(queue.queue_arguments or {})
        if queue.max_priority is not None:
            arguments["x-max-priority"] = queue.max_priority
        exchange = queue.exchange
        return queue.name, exchange.name, exchange.type, queue.routing_key, queue.durable, arguments

    assert form(ours) == form(theirs)


def test_the_apps_own_queue_objects_stay_as_they_are() -> None:
    own = Queue("q")
    assert App(task_queues=[own], task_default_exchange="x").queue("q").exchange.name == "x"
    assert own.exchange.name == ""


def test_priorities_are_not_asked_of_quorum_queues() -> None:
    app = App(task_default_queue_type="quorum", task_queue_max_priority=9)
    assert app.queue("celery").max_priority is None


def test_only_queues_that_are_more_than_a_name_have_to_be_declared_before() -> None:
    app = App(task_queues=["plain", BARE, TOPIC, Queue("short", max_length=5)])
    assert [is_plain(queue) for queue in app.queues] == [True, False, False, False]
    assert is_plain(App().queue("celery"))


def test_a_broadcast_is_sent_to_its_exchange_and_declares_nobodys_queue() -> None:
    app = App(task_queues=[Broadcast("everyone")], task_routes={"reload": "everyone"})
    route, _ = route_of(app, "reload", {})
    assert route.exchange == "everyone"
    assert isinstance(route.declare, Exchange)
    assert route.declare.type == "fanout"


def test_missing_queues_are_not_made_where_they_must_not_be() -> None:
    app = App(task_create_missing_queues=False)
    assert app.queue("celery").name == "celery"
    with pytest.raises(ConfigError, match="'mail' is not in task_queues"):
        app.queue("mail")
    app.conf.task_create_missing_queues = True
    assert app.queue("mail").exchange.name == "mail"


@pytest.mark.parametrize(
    ("routes", "told"),
    [
        ({"t": {"queue": "q", "colour": "red"}}, "the route of t cannot be used: .*'colour'"),
        ({"t": {"priority": 999}}, "the route of t cannot be used: .*'priority'"),
        (lambda *_, **__: 3, "the route of t is 3"),
        ("tests.unit.app.test_routing.nobody", "names 'tests.unit.app.test_routing.nobody', which cannot be"),
        ("tests.unit.app.test_routing.CASES", "which is no router"),
    ],
)
def test_a_route_that_is_none_is_told_when_it_is_used(routes: Any, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        route_of(App(task_routes=routes), "t", {})


@pytest.mark.parametrize("routes", [3, {"t": 3}, {3: "q"}, "nodots", [["a", 3]]])
def test_a_setting_that_can_be_no_route_is_told_at_once(routes: Any) -> None:
    with pytest.raises(ConfigError, match="'task_routes' cannot be"):
        App(task_routes=routes)


def test_the_queue_of_a_single_node_is_celerys() -> None:
    from celery.utils.nodenames import worker_direct as theirs

    ours, its = worker_direct("main@host"), theirs("main@host")
    assert (ours.name, ours.exchange.name, ours.routing_key) == (its.name, its.exchange.name, its.routing_key)
    assert worker_direct(ours) is ours
