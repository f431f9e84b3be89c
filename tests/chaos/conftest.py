"""Beds on each broker that is first class."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kombu import Connection

from tests.chaos.bed import QUEUE, Bed
from tests.support.brokers import RabbitServer, RedisServer


@pytest.fixture(params=["redis", "rabbitmq"])
def server(request: pytest.FixtureRequest, redis_url: str) -> Iterator[RedisServer | RabbitServer]:
    """A broker, with none of the tests' tasks in it, that may be hurt."""
    server: Any
    if request.param == "redis":
        server = request.getfixturevalue("redis_server")
        durable(server, "always")
    else:
        server = request.getfixturevalue("rabbit_server")
        with Connection(request.getfixturevalue("rabbit_url")) as connection, connection.channel() as channel:
            for queue in (QUEUE, f"{QUEUE}.dead"):
                channel.queue_delete(queue)
        server.sync()  # a kill must not bring it back
    yield server
    server.start_if_down()
    if request.param == "redis":
        durable(server, "everysec")


def durable(server: RedisServer, when: str) -> None:
    """When what Redis has answered is on its disk; with ``everysec`` a kill may take two seconds with it."""
    server.options = ["--appendfsync", when]
    with server.client() as client:
        client.config_set("appendfsync", when)


@pytest.fixture
def patience(rounds: int) -> float:
    """A first new task begins within 5 s: that is measured where the machine is the test's own (--long)."""
    return 60.0 if rounds == 1 else 5.0


@pytest.fixture
def bed(
    server: RedisServer | RabbitServer, redis_server: RedisServer, short_dir: Path, patience: float
) -> Iterator[Bed]:
    bed = Bed(server, redis_server, short_dir, patience=patience)
    yield bed
    bed.close()


@pytest.fixture
def redis_bed(redis_url: str, redis_server: RedisServer, short_dir: Path) -> Iterator[Bed]:
    """For what only Redis has."""
    bed = Bed(redis_server, redis_server, short_dir)
    yield bed
    bed.close()
