"""Many calls in one go: what they cost, what a Celery worker makes of them, and which have not arrived."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from threading import Timer
from typing import Any

import pytest
from kombu import Exchange, Queue
from kombu.exceptions import EncodeError

from tests.interop.stock import stock_worker
from tests.support.brokers import RabbitServer, RedisServer
from tests.support.ports import free_port
from tests.support.proxy import Proxy
from workerd import App, chord, group
from workerd.app.running.request import Request
from workerd.errors import ConfigError, RefusedError, UnavailableError, UnsentError
from workerd.signals import after_task_publish

KINDS = ["redis", "rabbit"]
IMPATIENT: dict[str, Any] = {"max_retries": 1, "interval_start": 0, "interval_max": 0}


@pytest.fixture(params=KINDS)
def server(request: pytest.FixtureRequest) -> RedisServer | RabbitServer:
    found: RedisServer | RabbitServer = request.getfixturevalue(f"{request.param}_server")
    request.getfixturevalue(f"{request.param}_url")
    return found


@pytest.fixture
def queue(server: RedisServer | RabbitServer) -> Iterator[str]:
    """A name that is nobody else's."""
    name = f"many-{uuid.uuid4()}"
    yield name
    with App(broker=server.url) as app, app.connection_for_write() as connection:
        connection.default_channel.queue_delete(name)


def taken(app: App, queue: str) -> list[Any]:
    """The first arguments of the messages in ``queue``, which is empty afterwards."""
    with app.connection_for_read() as connection:
        bound = app.queue(queue)(connection.default_channel)
        found = []
        while (message := bound.get(no_ack=True)) is not None:
            found.append(json.loads(message.body)[0][0])
    return found


def test_all_arrive_in_their_order_and_each_with_its_options(server: Any, queue: str) -> None:
    with App("proj", broker=server.url, task_default_queue=queue) as app:
        add = app.task(name="proj.add", priority=0)(lambda x, y=0: x + y)
        calls: list[Any] = [(add, (n,), {"y": 1}) for n in range(1100)]
        calls += [add.s(1100).set(task_id="named"), ("unknown", [1101])]
        calls += [(add, (1102,), None, {"expires": 600})]
        results = app.send_many(calls)
        assert len(results) == len({result.id for result in results}) == 1103
        assert results[1100].id == "named"
        assert results[0].task_name == "proj.add"
        with app.broker.seat() as seat:
            assert seat.outlet is not None
        assert taken(app, queue) == list(range(1103))


def test_a_thousand_messages_are_one_command_of_redis(redis_url: str, redis_server: RedisServer) -> None:
    with App("proj", broker=redis_url) as app, redis_server.client() as client:
        app.send_task("t", (0,))
        client.config_resetstat()
        app.send_many([("t", (n,)) for n in range(1000)])
        counts = {name: int(of["calls"]) for name, of in client.info("commandstats").items()}
        assert client.llen("celery") == 1001
    assert counts.pop("cmdstat_config|resetstat") == 1
    assert counts == {"cmdstat_lpush": 1}


def test_a_group_and_the_header_of_a_chord_are_one_command_of_redis(
    redis_url: str, redis_server: RedisServer
) -> None:
    with App("proj", broker=redis_url, backend=redis_url) as app, redis_server.client() as client:
        add = app.task(name="proj.add")(lambda *args: args)
        app.send_task("t", (0,))
        inner = chord([add.s(98), add.s(99)], add.s())
        for whole in (
            group(add.s(n) for n in range(100)),
            chord([add.s(n) for n in range(98)] + [inner], add.s()),
        ):
            client.delete("celery")
            client.config_resetstat()
            whole.apply_async()
            counts = {name: int(of["calls"]) for name, of in client.info("commandstats").items()}
            assert counts["cmdstat_lpush"] == 1
            assert taken(app, "celery") == list(range(100))


def test_a_group_is_sent_up_to_the_member_that_cannot_be(server: Any, queue: str) -> None:
    told: list[Any] = []

    def note(sender: Any = None, body: Any = None, **_: Any) -> None:
        told.append(body[0][0])

    with App("proj", broker=server.url, task_default_queue=queue) as app:
        add = app.task(name="proj.add")(lambda x: x)
        after_task_publish.connect(note)
        try:
            with pytest.raises(EncodeError):
                group(add.s(object() if n == 3 else n) for n in range(6)).apply_async()
            group(add.s(n) for n in range(10, 15)).apply_async()
        finally:
            after_task_publish.disconnect(note)
        assert taken(app, queue) == told == [0, 1, 2, 10, 11, 12, 13, 14]


def test_a_group_of_more_than_are_gathered_arrives_in_its_order(server: Any, queue: str) -> None:
    with App("proj", broker=server.url, task_default_queue=queue) as app:
        add = app.task(name="proj.add")(lambda x: x)
        results = group(add.s(n) for n in range(2500)).apply_async()
        assert len({result.id for result in results}) == 2500
        assert taken(app, queue) == list(range(2500))


def test_a_group_for_a_place_that_refuses_says_why(redis_url: str, redis_server: RedisServer) -> None:
    settings: dict[str, Any] = {"task_publish_retry_policy": IMPATIENT}
    with App("proj", broker=redis_url, **settings) as app, redis_server.client() as client:
        client.set("broken", "no list")
        add = app.task(name="proj.add")(lambda x: x)
        with pytest.raises(ConfigError, match="refuses"):
            group(add.s(n).set(queue="broken" if n == 2 else "whole") for n in range(4)).apply_async()
        assert taken(app, "whole")[:2] == [0, 1]


def test_one_call_is_one_command_of_redis(redis_url: str, redis_server: RedisServer) -> None:
    with App("proj", broker=redis_url) as app, redis_server.client() as client:
        app.send_task("t")
        client.config_resetstat()
        for _ in range(10):
            app.send_task("t")
        counts = {name: int(of["calls"]) for name, of in client.info("commandstats").items()}
    assert counts.pop("cmdstat_config|resetstat") == 1
    assert counts == {"cmdstat_lpush": 10}


def test_a_celery_worker_runs_them_all(server: Any, queue: str, redis_url: str, tmp_path: Any) -> None:
    settings: dict[str, Any] = {"task_default_queue": queue, "task_queue_max_priority": 9}
    with (
        stock_worker(tmp_path, server.url, redis_url, STOCK_MAX_PRIORITY="9", STOCK_QUEUE=queue),
        App("proj", broker=server.url, backend=redis_url, **settings) as app,
    ):
        results = app.send_many([("proj.add", (n, 1)) for n in range(100)])
        assert [result.get(timeout=30) for result in results] == [n + 1 for n in range(100)]


def test_what_cannot_be_a_call_is_told_before_any_is_sent(server: Any, queue: str) -> None:
    with App("proj", broker=server.url, task_default_queue=queue) as app:
        add = app.task(name="proj.add")(lambda x: x)
        wrong: list[tuple[Any, str]] = [
            ((add, (1, 2)), "too many positional"),
            ((add, (1,), {}, {"cuontdown": 1}), "did you mean 'countdown'"),
            ((add, (1,), {}, {"producer": object()}), "own connections"),
            ((add, (1,), {}, {}, 5), "send_many takes"),
            ((None,), "begins with a task"),
            (add, "send_many takes"),
            ({"task": "t", "subtask_type": "group"}, "plain tasks"),
            ((add, "text"), "must be a list"),
        ]
        for call, said in wrong:
            with pytest.raises(TypeError, match=said):
                app.send_many([(add, (1,)), call])
        with pytest.raises(ValueError, match="option 'priority' of a task call cannot be"):
            app.send_many([(add, (1,)), (add, (1,), {}, {"priority": 999})])
        assert app.send_many([]) == []
        app.send_task("t", (0,))
        assert taken(app, queue) == [0]


def test_a_call_that_cannot_be_written_fails_alone(server: Any, queue: str) -> None:
    with App("proj", broker=server.url, task_default_queue=queue) as app:
        calls: list[Any] = [("t", (n,)) for n in range(5)]
        calls[1], calls[3] = ("t", (object(),)), ("t", (3,), {}, {"headers": {"odd": object()}})
        with pytest.raises(UnsentError, match=r"2 of 5 calls .* first of them is call 1") as caught:
            app.send_many(calls)
        assert list(caught.value.unsent) == [1, 3]
        assert [result is None for result in caught.value.results] == [False, True, False, True, False]
        assert taken(app, queue) == [0, 2, 4]


def test_a_broker_that_is_away_has_got_none(server: Any) -> None:
    url = server.url.replace(str(server.port), str(free_port()))
    with (
        App("proj", broker=url, task_publish_retry_policy=IMPATIENT) as app,
        pytest.raises(UnsentError, match=r"3 of 3 calls are not sent.* cannot be reached") as caught,
    ):
        app.send_many([("t", (n,)) for n in range(3)])
    assert list(caught.value.unsent) == [0, 1, 2]
    assert isinstance(caught.value.unsent[0], UnavailableError)
    assert caught.value.exit_code == UnavailableError.exit_code


def test_a_place_that_refuses_holds_up_no_others(redis_url: str, redis_server: RedisServer) -> None:
    settings: dict[str, Any] = {"task_publish_retry_policy": IMPATIENT}
    with App("proj", broker=redis_url, **settings) as app, redis_server.client() as client:
        client.set("broken", "no list")
        with pytest.raises(UnsentError) as caught:
            app.send_many(("t", (n,), None, {"queue": "broken" if n % 2 else "whole"}) for n in range(6))
        assert list(caught.value.unsent) == [1, 3, 5]
        assert all(isinstance(reason, ConfigError) for reason in caught.value.unsent.values())
        assert taken(app, "whole") == [0, 2, 4]


def test_a_full_queue_of_rabbitmq_refuses_exactly_what_did_not_fit(rabbit_url: str) -> None:
    name = f"full-{uuid.uuid4()}"
    full = {"x-max-length": 2, "x-overflow": "reject-publish"}
    settings: dict[str, Any] = {
        "task_publish_retry": False,
        "task_queues": [Queue(name, Exchange(name), name, queue_arguments=full)],
    }
    with App("proj", broker=rabbit_url, **settings) as app, app.connection_for_write() as connection:
        app.send_task("t", (0,), queue=name)
        with pytest.raises(UnsentError) as caught:
            app.send_many([("t", (n,), None, {"queue": name}) for n in range(1, 5)])
        with pytest.raises(RefusedError, match="does not take the message"):
            app.send_task("t", (5,), queue=name)
        arrived = taken(app, name)
        connection.default_channel.queue_delete(name)
    assert sorted([*arrived, *(number + 1 for number in caught.value.unsent)]) == list(range(5))
    assert 0 < len(arrived) < 4


def test_a_link_that_breaks_in_the_middle_loses_none(server: Any, queue: str) -> None:
    settings: dict[str, Any] = {"task_default_queue": queue}
    with Proxy(server.port) as proxy, App("proj", broker=proxy.url(server.url), **settings) as app:
        app.send_task("t", (-1,))
        proxy.break_after(100_000)
        app.send_many([("t", (n, "x" * 500)) for n in range(300)])
        proxy.break_after(200, reset=True)
        app.send_task("t", (-2,))
        assert proxy.accepted >= 3
        arrived = taken(App("proj", broker=server.url), queue)
    # What was not answered is sent again: it may be there twice.
    assert sorted(set(arrived)) == list(range(-2, 300))


def test_a_broker_that_reads_nothing_for_a_while_is_waited_for_and_has_each_once(
    server: Any, queue: str
) -> None:
    with (
        Proxy(server.port) as proxy,
        App("proj", broker=proxy.url(server.url), task_default_queue=queue) as app,
    ):
        app.send_many([("t", (-1,))])
        before = proxy.accepted
        proxy.freeze("up")
        # A busy one may be silent for longer; py-amqp's own sockets give up after a second.
        Timer(2.5, proxy.resume).start()
        app.send_many([("t", (n, "x" * 20_000)) for n in range(1000)])
        assert proxy.accepted == before
        arrived = taken(App("proj", broker=server.url), queue)
    assert sorted(arrived) == list(range(-1, 1000))


def test_without_retry_what_a_broken_link_left_open_is_told_and_never_there_twice(
    server: Any, queue: str
) -> None:
    settings: dict[str, Any] = {"task_default_queue": queue, "task_publish_retry": False}
    with Proxy(server.port) as proxy, App("proj", broker=proxy.url(server.url), **settings) as app:
        app.send_task("t", (-1,))
        proxy.cut()
        app.send_task("t", (-2,))  # that the link is gone is seen before anything is written
        proxy.break_after(30_000)
        with pytest.raises(UnsentError) as caught:
            app.send_many([("t", (n, "x" * 500)) for n in range(100)])
        arrived = taken(App("proj", broker=server.url), queue)
    assert caught.value.unsent
    assert set(range(100)) - set(caught.value.unsent) <= set(arrived)
    assert len(arrived) == len(set(arrived))


def test_a_task_that_sends_many_has_them_among_its_children(redis_url: str) -> None:
    with App("proj", broker=redis_url) as app:
        parent = app.task(name="parent")(lambda: None)
        request = Request(id="p", root_id="r", called_directly=False)
        with app.frames.entered(parent, request):
            results = app.send_many([("t", (1,)), ("t", (2,), None, {"add_to_parent": False})])
        assert request.children == [results[0]]


def test_an_eager_app_runs_its_own_tasks_here() -> None:
    with App("proj", broker="memory://", task_always_eager=True) as app:
        add = app.task(name="proj.add")(lambda x, y: x + y)
        first, second = app.send_many([add.s(1, 2), ("elsewhere", (1,))])
        assert first.get() == 3
        assert second.task_name == "elsewhere"
