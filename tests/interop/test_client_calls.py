"""Calls of our client run on an unmodified Celery worker, over Redis and over RabbitMQ."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.interop.stock import stock_worker
from tests.support.brokers import RabbitServer, RedisServer
from workerd import App


@pytest.fixture(scope="module", params=["redis", "rabbit"])
def app(
    request: pytest.FixtureRequest, redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[App]:
    """Our client, with a Celery worker behind its broker; results are in Redis."""
    broker = redis_server.url
    if request.param == "rabbit":
        rabbit: RabbitServer = request.getfixturevalue("rabbit_server")
        broker = rabbit.url
    home = tmp_path_factory.mktemp("stock")
    # The servers outlive this module: a queue of the same name may be there with other arguments.
    queue = f"stock-{uuid.uuid4()}"
    settings: dict[str, Any] = {"task_default_queue": queue, "task_queue_max_priority": 9}
    with (
        stock_worker(home, broker, redis_server.url, STOCK_MAX_PRIORITY="9", STOCK_QUEUE=queue),
        App("proj", broker=broker, backend=redis_server.url, **settings) as app,
    ):
        yield app


def test_args_and_kwargs_arrive(app: App) -> None:
    sent = app.send_task("proj.describe", (1, "é", None), {"k": [1.5, {"a": True}]})
    got = sent.get(timeout=20)
    assert (got["args"], got["kwargs"]) == ([1, "é", None], {"k": [1.5, {"a": True}]})
    assert (got["id"], got["root"], got["key"]) == (sent.id, sent.id, app.conf.task_default_queue)
    assert sent.successful()


def test_dates_arrive_as_such(app: App) -> None:
    day = datetime(2030, 1, 2, tzinfo=UTC)
    assert app.send_task("proj.describe", (day,)).get(timeout=20)["args"] == [day]


def test_a_countdown_delays_the_call(app: App) -> None:
    began = datetime.now(UTC)
    sent = app.send_task("proj.describe", countdown=1)
    got = sent.get(timeout=20)
    assert datetime.now(UTC) - began >= timedelta(seconds=1)
    assert datetime.fromisoformat(got["eta"]) - began >= timedelta(seconds=1)


def test_an_expiry_in_the_future_lets_the_call_run(app: App) -> None:
    got = app.send_task("proj.describe", expires=60).get(timeout=20)
    assert datetime.fromisoformat(got["expires"]) > datetime.now(UTC)


def test_priority_headers_and_limits_arrive(app: App) -> None:
    sent = app.send_task(
        "proj.describe", priority=3, headers={"tenant": "acme"}, time_limit=30, soft_time_limit=20
    )
    got = sent.get(timeout=20)
    assert (got["priority"], got["tenant"], got["timelimit"]) == (3, "acme", [30, 20])


def test_an_exception_comes_back_as_itself(app: App) -> None:
    sent = app.send_task("proj.boom", ("kaput",))
    with pytest.raises(ValueError, match="kaput") as caught:
        sent.get(timeout=20)
    assert caught.value.args == ("kaput", 7)
    assert "In the worker:" in caught.value.__notes__[0]
    assert (sent.failed(), sent.state) == (True, "FAILURE")


def test_a_retry_on_the_other_side_ends_in_its_result(app: App) -> None:
    assert app.send_task("proj.flaky").get(timeout=20) == 2


def test_links_and_error_links_of_ours_run_there(app: App, redis_server: RedisServer) -> None:
    link = app.signature("proj.add", (10,), options={"task_id": f"linked-{app.broker.urls()[0]}"})
    app.send_task("proj.add", (1, 2), link=link).get(timeout=20)
    assert app.AsyncResult(link["options"]["task_id"]).get(timeout=20) == 13


def test_children_of_a_celery_run_are_found(app: App) -> None:
    sent = app.send_task("proj.spawn")
    child = sent.get(timeout=20)
    assert [result.id for result in sent.children] == [child]
    assert sent.children[0].get(timeout=20) == 2


def test_a_forgotten_result_is_gone(app: App, redis_server: RedisServer) -> None:
    sent = app.send_task("proj.add", (1, 2))
    assert sent.get(timeout=20) == 3
    sent.forget()
    with redis_server.client() as client:
        assert not client.exists(f"celery-task-meta-{sent.id}")
    assert sent.state == "PENDING"


def test_an_expired_call_never_runs_there(app: App) -> None:
    sent = app.send_task("proj.add", (1, 2), expires=datetime.now(UTC) - timedelta(seconds=5))
    # One slot, one queue: when this one has ended, nothing more comes of the expired one.
    app.send_task("proj.add", (1, 2)).get(timeout=20)
    # RabbitMQ drops a message with an expiration of 0 that no consumer takes at once.
    on_redis = app.broker.urls()[0].startswith("redis")
    assert sent.state in (("REVOKED",) if on_redis else ("PENDING", "REVOKED"))
