"""Stock Celery workers on the same RabbitMQ: each runs what the other held when it died, and only that."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from kombu import Connection

from tests.interop.stock import stock_client, stock_worker
from tests.support.daemon import running
from tests.support.eventually import eventually


@pytest.fixture
def urls(rabbit_url: str, redis_url: str) -> tuple[str, str]:
    """Broker and backend, with none of the tests' messages."""
    with Connection(rabbit_url) as connection, connection.channel() as channel:
        channel.queue_delete("celery")
    return rabbit_url, redis_url


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def test_each_takes_over_what_the_other_held_when_it_died(
    stack: ExitStack, short_dir: Path, urls: tuple[str, str]
) -> None:
    broker, backend = urls
    home, gate = short_dir / "d", short_dir / "gate"
    home.mkdir()
    daemon = stack.enter_context(running(home, broker=broker, backend=backend, size="1"))
    app = stack.enter_context(stock_client(broker, backend))
    sent = app.send_task("ledger.hold", (1, str(gate)))
    eventually(lambda: daemon.ran("start")[1] == 1)
    options = json.dumps({"visibility_timeout": 20})
    worker = stack.enter_context(stock_worker(short_dir / "c", broker, backend, STOCK_TRANSPORT=options))
    assert not Path(f"{gate}.celery").exists()  # it has what nobody runs, and takes nothing else

    daemon.kill(9)
    daemon.wait()
    eventually(Path(f"{gate}.celery").exists)
    daemon.start(size="1")
    worker.kill()
    worker.wait(20)
    eventually(lambda: daemon.ran("start")[1] == 2)
    gate.touch()
    assert sent.get(timeout=30) == 1
    assert daemon.ran() == {1: 1}
