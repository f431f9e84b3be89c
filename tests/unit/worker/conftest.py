"""An event loop whose clock is moved by hand, a scope of it, and sockets for both."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from tests.support.clock import FakeClock
from tests.unit.worker.hubs import Pair
from workerd.worker.loop.hub import Hub
from workerd.worker.loop.scope import Scope
from workerd.worker.loop.timer import Timer


@pytest.fixture
def hub(clock: FakeClock) -> Iterator[Hub]:
    hub = Hub(Timer(now=clock.now))
    yield hub
    hub.dispose()


@pytest.fixture
def lost() -> list[BaseException]:
    """What the scope has taken for the loss of its link."""
    return []


@pytest.fixture
def scope(hub: Hub, lost: list[BaseException]) -> Scope:
    return Scope(hub, lost.append)


@pytest.fixture
def pair() -> Iterator[Pair]:
    a, b = socket.socketpair()
    a.setblocking(False)
    b.setblocking(False)
    with a, b:
        yield a, b
