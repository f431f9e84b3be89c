"""A result writer on Redis, and a client of its server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from tests.process.backends.desk import Desk
from tests.support.brokers import RedisServer


@pytest.fixture
def desk(redis_url: str) -> Iterator[Desk]:
    desk = Desk(redis_url)
    yield desk
    desk.close()


@pytest.fixture
def client(redis_server: RedisServer, redis_url: str) -> Iterator[redis.Redis]:
    with redis_server.client() as client:
        yield client
