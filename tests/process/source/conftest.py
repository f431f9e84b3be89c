"""Nodes that are closed and checked at the end of each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import redis

from tests.process.source.node import Node
from tests.support.brokers import RedisServer

MakeNode = Callable[..., Node]


@pytest.fixture
def node() -> Iterator[MakeNode]:
    nodes: list[Node] = []

    def make(*args: object, **options: object) -> Node:
        nodes.append(Node(*args, **options))  # type: ignore[arg-type]
        return nodes[-1]

    yield make
    for made in nodes:
        made.close()


@pytest.fixture
def client(redis_server: RedisServer, redis_url: str) -> Iterator[redis.Redis]:
    """A client of the session's server, which has been emptied."""
    with redis_server.client() as client:
        yield client
