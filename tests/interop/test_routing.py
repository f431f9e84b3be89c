"""Queues of every kind between Celery and us, in both directions, on Redis and on RabbitMQ."""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from celery import Celery
from celery.utils.nodenames import worker_direct as celerys_direct
from kombu import Connection

from tests.interop.routed import settings
from tests.interop.stock import stock_worker
from tests.support.brokers import RabbitServer, RedisServer
from tests.support.daemon import Workerd, running
from tests.support.eventually import eventually
from workerd import App, worker_direct


class Place(NamedTuple):
    """A broker with both sides on it: our daemon and Celery's client, Celery's worker and our client."""

    broker: str
    rabbit: bool
    ours: str
    """The prefix of our daemon's queues."""
    theirs: str
    daemon: Workerd
    celery: Any
    """Celery's client of our daemon."""
    client: App
    """Our client of Celery's worker."""


@pytest.fixture(scope="module", params=["redis", "rabbit"])
def place(request: pytest.FixtureRequest, redis_server: RedisServer) -> Iterator[Place]:
    rabbit, backend = request.param == "rabbit", redis_server.url
    broker = backend
    if rabbit:
        server: RabbitServer = request.getfixturevalue("rabbit_server")
        broker = server.url
    ours, theirs = (f"{side}-{uuid.uuid4().hex[:6]}" for side in ("ours", "theirs"))
    with ExitStack() as stack:
        home = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="wd-", ignore_cleanup_errors=True))
        )
        (home / "d").mkdir()
        options: dict[str, Any] = {"app": "tests.interop.routed_app", "broker": broker, "backend": backend}
        options |= {"env": {"ROUTED": f"{ours} {request.param}"}, "words": ["-X", f"{ours}-not"]}
        daemon = stack.enter_context(running(home / "d", size="1", **options))
        routed = f"{theirs} {request.param}"
        stack.enter_context(stock_worker(home / "c", broker, backend, STOCK_ROUTED=routed))
        celery = Celery("c", broker=broker, backend=backend, set_as_current=False)
        celery.conf.update(settings(ours, rabbit=rabbit))
        stack.callback(celery.close)
        client = stack.enter_context(
            App("c", broker=broker, backend=backend, **settings(theirs, rabbit=rabbit))
        )
        yield Place(broker, rabbit, ours, theirs, daemon, celery, client)


KINDS: list[tuple[str, dict[str, Any]]] = [
    ("plain", {}),
    ("bare", {}),
    ("video", {"routing_key": "media.video.cut"}),
    ("news", {}),
    ("everyone", {}),
    ("quorum", {}),
    ("urgent", {"priority": 9}),
    ("pdf", {"headers": {"kind": "pdf"}}),
]
ON_RABBIT = {"quorum", "urgent", "pdf"}


@pytest.mark.parametrize(("queue", "options"), KINDS)
def test_what_celery_sends_to_a_queue_of_each_kind_runs_here(
    place: Place, queue: str, options: dict[str, Any]
) -> None:
    if queue in ON_RABBIT and not place.rabbit:
        return
    exchange = place.celery.amqp.queues[f"{place.ours}-{queue}"].exchange
    if exchange.type == "fanout" and not place.rabbit:
        # On Redis a Celery client that has not declared it takes it for a direct one; what it sends then is
        # lost for Celery's own workers too.
        options = {**options, "declare": [exchange]}
    sent = place.celery.send_task("ledger.add", (1, 2), queue=f"{place.ours}-{queue}", **options)
    assert sent.get(timeout=20) == 3


@pytest.mark.parametrize(("queue", "options"), KINDS)
def test_what_we_send_to_a_queue_of_each_kind_runs_in_celery(
    place: Place, queue: str, options: dict[str, Any]
) -> None:
    if queue in ON_RABBIT and not place.rabbit:
        return
    sent = place.client.send_task("proj.add", (1, 2), queue=f"{place.theirs}-{queue}", **options)
    assert sent.get(timeout=20) == 3


def test_a_topic_key_finds_every_queue_that_it_fits(place: Place) -> None:
    before = place.daemon.ran()[1]
    place.celery.send_task(
        "ledger.run",
        (1,),
        exchange=f"{place.ours}-media",
        routing_key="media.video.sound",
        queue=f"{place.ours}-video",
    )
    eventually(lambda: place.daemon.ran()[1] == before + 2)


def test_routes_of_the_settings_are_the_same_on_both_sides(place: Place) -> None:
    assert place.celery.send_task("ledger.to_video", (5,)).get(timeout=20) == 5
    with App("c", broker=place.broker, backend=place.client.conf.result_backend) as ours:
        ours.conf.update(settings(place.ours, rabbit=place.rabbit))
        assert ours.send_task("ledger.to_video", (6,)).get(timeout=20) == 6
        assert ours.send_task("ledger.run", (7,), queue=f"{place.ours}-everyone").get(timeout=20) == 7


def test_a_single_node_has_a_queue_of_its_own(place: Place) -> None:
    node = f"main@{os.uname().nodename}"
    assert place.celery.send_task("ledger.run", (8,), queue=celerys_direct(node)).get(timeout=20) == 8
    theirs = worker_direct(f"celery@{os.uname().nodename}")
    assert place.client.send_task("proj.add", (4, 5), queue=theirs).get(timeout=20) == 9


def test_a_queue_may_be_left_out(place: Place) -> None:
    queues = place.daemon.status()["queues"]
    assert f"{place.ours}-not" not in queues
    assert f"{place.ours}-plain" in queues
    place.celery.send_task("ledger.run", (9,), queue=f"{place.ours}-not")
    assert place.celery.send_task("ledger.run", (10,), queue=f"{place.ours}-plain").get(timeout=20) == 10
    with Connection(place.broker) as connection, connection.channel() as channel:
        assert channel.queue_declare(f"{place.ours}-not", passive=True).message_count == 1
    assert place.daemon.ran("start")[9] == 0


def test_queues_look_to_celery_as_those_of_a_celery_worker(place: Place) -> None:
    node = f"main@{os.uname().nodename}"
    [queues] = place.celery.control.inspect([node], timeout=20).active_queues().values()
    found = {queue["name"]: queue for queue in queues}
    video = found[f"{place.ours}-video"]
    assert (video["exchange"]["name"], video["exchange"]["type"]) == (f"{place.ours}-media", "topic")
    assert video["routing_key"] == "media.video.#"
    assert found[f"{node}.dq2"]["exchange"]["name"] == "C.dq2"
    assert place.daemon.status()["link"]["restarts"] == 0
    assert not place.daemon.logged("ERROR|Traceback")
