"""kombu's own transports on a Scope: they consume, lose their link, and leave nothing behind."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import kombu
import pytest

from tests.support.brokers import RedisServer
from workerd.worker.loop.hub import Hub
from workerd.worker.loop.scope import Scope

QUEUE = kombu.Queue("scope-test", kombu.Exchange("scope-test"), "scope-test", expires=600.0)


@pytest.fixture
def hub() -> Iterator[Hub]:
    hub = Hub()
    yield hub
    hub.dispose()


@pytest.fixture(params=["redis_url", "rabbit_url"])
def url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(request.param))


def turn_until(hub: Hub, fact: Callable[[], Any], within: float = 20.0) -> None:
    """Turn the hub until ``fact()`` holds."""
    deadline = time.monotonic() + within
    waker = hub.call_repeatedly(0.05, int)
    while not fact():
        assert time.monotonic() < deadline, "it did not come true"
        hub.turn()
    waker.cancel()


class Generation:
    """One connection with a consumer, as a ConsumerStep makes it."""

    def __init__(self, hub: Hub, url: str) -> None:
        self.lost: list[BaseException] = []
        self.bodies: list[Any] = []
        self.scope = Scope(hub, self.lost.append)
        self.connection = kombu.Connection(url)
        self.channel = self.connection.channel()
        self.consumer = kombu.Consumer(self.channel, [QUEUE], callbacks=[self.received])
        self.connection.register_with_event_loop(self.scope)
        self.consumer.consume()

    def received(self, body: Any, message: Any) -> None:
        self.bodies.append(body)
        message.ack()

    def close(self) -> None:
        self.scope.close()
        self.connection.release()


def publish(url: str, body: Any) -> None:
    with kombu.Connection(url) as connection:
        connection.Producer().publish(
            body, exchange=QUEUE.exchange, routing_key=QUEUE.routing_key, declare=[QUEUE]
        )


def test_a_transport_consumes_through_a_scope(hub: Hub, url: str) -> None:
    generation = Generation(hub, url)
    publish(url, {"hello": "world"})

    turn_until(hub, lambda: generation.bodies)
    generation.close()

    assert generation.bodies == [{"hello": "world"}]
    assert generation.lost == []
    assert hub.readers == {}
    assert hub.on_tick == set()


def test_generations_follow_each_other_on_one_hub(hub: Hub, url: str) -> None:
    for number in range(3):
        generation = Generation(hub, url)
        publish(url, number)
        turn_until(hub, lambda: generation.bodies)  # noqa: B023 (called before the next round)
        generation.close()

        assert generation.bodies == [number]
    assert hub.timer.wait() is None
    assert hub.readers == {}


def test_a_lost_redis_is_reported_and_the_next_generation_works(
    hub: Hub, redis_server: RedisServer, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    first = Generation(hub, redis_url)
    publish(redis_url, 1)
    turn_until(hub, lambda: first.bodies)
    redis_server.kill()

    turn_until(hub, lambda: first.lost)
    first.close()
    redis_server.start()
    second = Generation(hub, redis_url)
    publish(redis_url, 2)
    turn_until(hub, lambda: second.bodies)
    second.close()

    assert second.bodies == [2]
    assert len(first.lost) == 1
    assert "Error in" not in caplog.text


def test_a_lost_rabbit_connection_is_reported_once(
    hub: Hub, rabbit_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    generation = Generation(hub, rabbit_url)
    generation.connection.connection.sock.shutdown(socket.SHUT_RDWR)

    turn_until(hub, lambda: generation.lost)
    generation.close()

    assert len(generation.lost) == 1
    assert "Error in" not in caplog.text
