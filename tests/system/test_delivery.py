"""What a daemon takes, in which order, and when it tells the broker that a message is done."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.brokers import RedisServer
from tests.support.daemon import Workerd
from tests.support.eventually import eventually
from tests.system.conftest import Start


@pytest.fixture
def results(tmp_path: Path) -> Iterator[RedisServer]:
    """A result backend apart from the broker, for a test to hurt."""
    server = RedisServer(tmp_path / "results")
    server.start()
    yield server
    server.stop()


@pytest.mark.parametrize("kind", ["redis_url", "fresh_rabbit_url"])
def test_a_message_is_settled_only_after_its_result_is_stored(
    start: Start, request: pytest.FixtureRequest, kind: str, results: RedisServer
) -> None:
    daemon = start(broker=request.getfixturevalue(kind), backend=results.url)
    with daemon.client() as app:
        results.stop()
        sent = app.send_task("ledger.run", (1,))
        eventually(lambda: daemon.ran()[1] == 1)
        eventually(lambda: daemon.status()["tasks"]["storing"] == 1)
        daemon.kill(signal.SIGKILL)
        daemon.wait()

        results.start()
        assert sent.state == "PENDING"
        daemon.start()
        assert sent.get(timeout=60) == 1  # the broker still had it
    assert daemon.ran() == {1: 2}


def test_the_more_urgent_of_what_waits_runs_first_on_redis(start: Start, redis_url: str) -> None:
    daemon = start(broker=redis_url, backend=redis_url, size="1")
    gate = daemon.home / "gate"
    with daemon.client() as app:
        app.send_task("ledger.hold", (100, str(gate)))
        eventually(lambda: daemon.ran("start")[100] == 1)
        sent = [app.send_task("ledger.run", (n,), priority=n) for n in (9, 6, 3, 0)]
        gate.touch()
        assert [result.get(timeout=30) for result in sent] == [9, 6, 3, 0]
    assert order_of(daemon) == [100, 0, 3, 6, 9]


def test_queues_in_strict_order_are_emptied_one_after_another(start: Start, redis_url: str) -> None:
    env = {"WORKERD_QUEUE_ORDER": "strict"}
    daemon = start(broker=redis_url, backend=redis_url, size="1", words=("-Q", "gold,lead"), env=env)
    with daemon.client() as app:
        app.send_task("ledger.hold", (100, "gate"), queue="gold")
        eventually(lambda: daemon.ran("start")[100] == 1)
        for queue, first in (("gold", 0), ("lead", 10)):
            for number in range(first, first + 5):
                app.send_task("ledger.run", (number,), queue=queue, ignore_result=True)
        (daemon.home / "gate").touch()
        eventually(lambda: len(daemon.ran()) == 11)
    assert order_of(daemon) == [100, *range(5), *range(10, 15)]


def test_a_daemon_takes_from_its_queues_and_no_others(start: Start, broker: dict[str, str]) -> None:
    daemon = start(**broker, words=("-Q", "sys.one,sys.two"))
    with daemon.client() as app:
        app.send_task("ledger.run", (1,), queue="sys.others")
        for number, queue in ((2, "sys.one"), (3, "sys.two")):
            assert app.send_task("ledger.run", (number,), queue=queue).get(timeout=30) == number
        with app.connection_for_write() as connection:
            left: Any = connection.SimpleQueue("sys.others")
            assert left.get(timeout=10).headers["task"] == "ledger.run"
    assert order_of(daemon) == [2, 3]


def test_exceptions_that_a_task_names_are_retried_by_themselves(start: Start, broker: dict[str, str]) -> None:
    daemon = start(**broker)
    with daemon.client() as app:
        sent = app.send_task("ledger.shaky", (2,))
        assert sent.get(timeout=30) == 2
        given_up = app.send_task("ledger.shaky", (9,))
        with pytest.raises(ValueError, match="not yet"):
            given_up.get(timeout=30)
    assert daemon.status()["tasks"]["retried"] == 5


def order_of(daemon: Workerd) -> list[int]:
    """The numbers in the order in which their runs began."""
    rows = (line.split() for line in daemon.ledger.read_text().splitlines())
    return [int(row[1]) for row in rows if row[0] == "start"]
