"""Unmodified Celery clients and workers with tasks that are due late."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery
from kombu import Connection, Exchange, Queue

from tests.interop.stock import stock_client, stock_worker
from tests.support.brokers import RabbitServer, RedisServer
from tests.support.daemon import Workerd, running
from tests.support.eventually import eventually
from workerd.source.amqp.topology import DELAY_QUEUES

HORIZON = {"WORKERD_ETA_HORIZON": "1s"}


@pytest.fixture(params=["redis", "rabbitmq"])
def daemon(request: pytest.FixtureRequest, short_dir: Any, redis_url: str) -> Iterator[Workerd]:
    broker = redis_url
    if request.param == "rabbitmq":
        broker = request.getfixturevalue("rabbit_url")
    with running(short_dir, broker=broker, backend=redis_url, env=HORIZON, words=("-Q", "late")) as daemon:
        yield daemon


def test_what_a_celery_client_sends_for_later_waits_in_the_broker(daemon: Workerd) -> None:
    with stock_client(daemon.broker or "", daemon.backend or "") as celery:
        eta = time.time() + 10
        results = [
            celery.send_task("ledger.run", (n,), countdown=10, expires=60, queue="late") for n in range(3)
        ]
        eventually(lambda: daemon.status()["tasks"]["parked"] == 3)
        assert [result.get(timeout=30) for result in results] == [0, 1, 2]
        assert time.time() >= eta
    assert set(daemon.ran("start").values()) == {1}


@pytest.mark.long
def test_what_is_flushed_runs_on_a_celery_worker_at_its_time(
    short_dir: Any, redis_server: RedisServer
) -> None:
    url = redis_server.url
    with redis_server.client() as client:
        client.flushall()
    with stock_client(url, url) as celery:
        with running(short_dir, broker=url, backend=url, env=HORIZON) as daemon:
            eta = time.time() + 15
            result = celery.send_task("proj.add", (2, 3), countdown=15)
            eventually(lambda: daemon.status()["tasks"]["parked"] == 1)
            assert daemon.stop() == 0
            done = daemon.run("delayed", "flush", env={"WORKERD_BROKER": url})
            assert done.stdout == "1 message sent to their queues\n"
        with stock_worker(short_dir / "c", url, url):
            assert result.get(timeout=60) == 5
            assert time.time() >= eta


def test_what_a_celery_client_delays_by_itself_is_served(
    short_dir: Any, rabbit_server: RabbitServer, redis_url: str
) -> None:
    """So it does with quorum queues; a Celery worker would have made the delay queues."""
    name = f"quorum-{uuid.uuid4().hex[:6]}"
    queue = Queue(name, Exchange(name, "topic"), name, queue_arguments={"x-queue-type": "quorum"})
    url = rabbit_server.url
    with Connection(url) as connection:
        queue(connection.channel()).declare()
        with running(short_dir, broker=url, backend=redis_url, words=("-Q", name)) as daemon:
            celery = Celery("quorum", broker=url, backend=redis_url, set_as_current=False)
            celery.conf.update(task_queues=[queue], task_default_queue=name, task_default_queue_type="quorum")
            eventually(lambda: bound(connection))
            before = delayed(connection)
            result = celery.send_task("ledger.run", (1,), countdown=5)
            eventually(lambda: delayed(connection) == before + 1)
            assert result.get(timeout=30) == 1
            assert daemon.status()["tasks"]["received"] == 1
            celery.close()
        queue(connection.channel()).delete()


def bound(connection: Any) -> bool:
    """The delay queues are there, which is told last."""
    with connection.channel() as channel:
        try:
            channel.exchange_declare("celery_delayed_delivery", "topic", passive=True)
        except connection.channel_errors:
            return False
        return True


def delayed(connection: Any) -> int:
    """Messages in all delay queues."""
    with connection.channel() as channel:
        return sum(channel.queue_declare(queue, passive=True).message_count for queue in DELAY_QUEUES)
