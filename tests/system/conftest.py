"""Daemons for the system tests, on each broker that workerd speaks to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.brokers import RabbitServer, RedisServer
from tests.support.daemon import Workerd, running
from tests.support.proxy import Proxy

Start = Callable[..., Workerd]
Make = Callable[..., Workerd]


@pytest.fixture
def start(short_dir: Path) -> Iterator[Start]:
    """``start(broker=..., size=...)``: a running daemon; all are stopped at the end."""
    with ExitStack() as stack:

        def begin(**options: Any) -> Workerd:
            home = short_dir / options.pop("home", "d")
            home.mkdir(exist_ok=True)
            return stack.enter_context(running(home, **options))

        yield begin


@pytest.fixture
def make(short_dir: Path) -> Iterator[Callable[..., Workerd]]:
    """``make(app=...)``: a daemon that is not started yet; killed at the end if it still runs."""
    made: list[Workerd] = []

    def one(**options: Any) -> Workerd:
        made.append(Workerd(short_dir, **options))
        return made[-1]

    yield one
    for daemon in made:
        daemon.end()


@pytest.fixture(params=[pytest.param("embedded", marks=pytest.mark.long), "redis", "rabbitmq"])
def broker(request: pytest.FixtureRequest) -> dict[str, str]:
    """Options of ``start`` for each broker; results are on Redis wherever the broker is RabbitMQ.

    The embedded one is a Redis to the daemon, and what the guides tell is run with it.
    """
    if request.param == "embedded":
        return {}
    url = request.getfixturevalue("redis_url")
    if request.param == "redis":
        return {"broker": url, "backend": url}
    rabbit = request.getfixturevalue("fresh_rabbit_url")
    return {"broker": rabbit, "backend": url}


@pytest.fixture
def fresh_rabbit_url(rabbit_server: RabbitServer) -> str:
    """RabbitMQ with the queues of the tests emptied."""
    rabbit_server.empty()
    return rabbit_server.url


@pytest.fixture(params=["redis", "rabbitmq"])
def server(request: pytest.FixtureRequest) -> Iterator[Any]:
    """A broker that the test may hurt, with none of the tests' tasks in it."""
    request.getfixturevalue("redis_url")
    if request.param == "rabbitmq":
        request.getfixturevalue("fresh_rabbit_url")
    name = "redis_server" if request.param == "redis" else "rabbit_server"
    server: RedisServer | RabbitServer = request.getfixturevalue(name)
    yield server
    server.start_if_down()


@pytest.fixture
def proxy(server: Any) -> Iterator[Proxy]:
    """A link to ``server`` that the test may hurt."""
    with Proxy(server.port) as proxy:
        yield proxy
