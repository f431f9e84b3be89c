"""What is RabbitMQ's own: queues that it takes away, orders that it does not keep, its consumer_timeout."""

from __future__ import annotations

import signal
import sqlite3
import time
from collections.abc import Iterator

import pytest
from kombu import Connection

from tests.support.brokers import RabbitServer
from tests.support.daemon import Workerd
from tests.support.eventually import eventually
from tests.system.conftest import Start


def test_a_queue_that_is_deleted_is_consumed_again(start: Start, fresh_rabbit_url: str) -> None:
    settings = {"WORKERD_QUEUES": "celery,video", "WORKERD_QUEUE_ORDER": "strict"}
    daemon = start(broker=fresh_rabbit_url, env=settings)
    strict = "queue_order = strict has no effect on RabbitMQ (pool default)"
    assert daemon.text().count(strict) == 1
    checked = daemon.run("-A", daemon.app, "--broker", fresh_rabbit_url, "check", env=settings)
    assert checked.returncode == 0
    assert f"reached; {strict}" in checked.stdout

    with Connection(fresh_rabbit_url) as connection, connection.channel() as channel:
        channel.queue_delete("video")
    eventually(lambda: daemon.status()["cancelled"] == {"video": 1})
    told = daemon.run("status").stdout
    assert "by the broker, and begun again: the consuming of video (1 time)" in told
    assert "DEGRADED" not in told

    with daemon.client() as client:
        client.send_task("ledger.run", (1,), queue="video")
    eventually(lambda: daemon.ran() == {1: 1})
    assert daemon.text().count("has ended the consuming of queue video") == 1


def test_quorum_queues_of_one_pool_lose_nothing_by_a_killed_supervisor(
    start: Start, fresh_rabbit_url: str
) -> None:
    names = ["quorum.a", "quorum.b"]
    with Connection(fresh_rabbit_url) as connection, connection.channel() as channel:
        for name in names:
            channel.queue_delete(name)
            channel.queue_declare(name, durable=True, auto_delete=False, arguments={"x-queue-type": "quorum"})
    settings = {"WORKERD_QUEUES": ",".join(names)}
    daemon = start(broker=fresh_rabbit_url, env=settings)
    with daemon.client() as app:
        for number in range(60):
            app.send_task("ledger.run", (number, 0.05), queue=names[number % 2], ignore_result=True)
    eventually(lambda: len(daemon.ran()) > 10)
    daemon.kill(signal.SIGKILL)
    daemon.wait()
    before = daemon.ran("start")
    daemon.start(env=settings)
    eventually(lambda: len(daemon.ran()) == 60)
    assert daemon.stop() == 0
    assert [ready(fresh_rabbit_url, name) for name in names] == [0, 0]  # and nobody holds any
    # Only what ran or had just ended when it was killed has run twice.
    twice = [number for number, runs in daemon.ran("start").items() if runs > 1]
    assert len(twice) <= 2 * 2
    assert set(twice) <= set(before)


TIMEOUT = 8
"""Seconds of the broker's; it looks four times a second."""
TOLD = 4
"""What daemons are told of it: less, so that no machine is too slow to act in time."""


@pytest.fixture
def impatient(
    rabbit_server: RabbitServer, fresh_rabbit_url: str, redis_url: str
) -> Iterator[dict[str, object]]:
    """Options of ``start`` for a broker that waits for ``TIMEOUT`` only."""

    def set_to(timeout: int, interval: int) -> None:
        settings = {"consumer_timeout": timeout, "channel_tick_interval": interval}
        words = ", ".join(f"application:set_env(rabbit, {key}, {value})" for key, value in settings.items())
        rabbit_server.ctl("eval", f"{words}.")

    set_to(TIMEOUT * 1000, 250)
    env = {"WORKERD_AMQP__CONSUMER_TIMEOUT": f"{TOLD}s"}
    yield {"broker": fresh_rabbit_url, "backend": redis_url, "env": env}
    set_to(1_800_000, 60_000)


def adopted(daemon: Workerd) -> int:
    """How many messages the state database has."""
    with sqlite3.connect(daemon.home / "s" / "main" / "statedb.sqlite3") as database:
        [(count,)] = database.execute("SELECT count(*) FROM adopted")
    database.close()
    return int(count)


def ready(url: str, queue: str) -> int:
    """How many messages of ``queue`` nobody holds; much cheaper than to ask by ``ctl``."""
    with Connection(url) as connection, connection.channel() as channel:
        return int(channel.queue_declare(queue, passive=True).message_count)


def unsettled(server: RabbitServer) -> str:
    return server.ctl("list_queues", "--silent", "--no-table-headers", "name", "messages").strip()


def test_a_run_that_is_longer_than_the_brokers_patience_costs_no_channel(
    start: Start, impatient: dict[str, object]
) -> None:
    daemon = start(**impatient)
    gate = daemon.home / "gate"
    with daemon.client() as app:
        long = [app.send_task("ledger.hold", (number, str(gate))) for number in (1, 2)]
        eventually(lambda: daemon.status()["tasks"]["adopted"] == 2)
        assert adopted(daemon) == 2
        third = app.send_task("ledger.run", (3,))
        began = time.monotonic()
        eventually(lambda: time.monotonic() > began + TIMEOUT)  # the broker has looked at what it waits for
        gate.touch()
        assert [one.get(timeout=30) for one in (*long, third)] == [1, 2, 3]
    assert daemon.status()["link"]["restarts"] == 0
    eventually(lambda: adopted(daemon) == 0)
    assert daemon.stop() == 0
    assert daemon.ran("start") == {1: 1, 2: 1, 3: 1}


def test_an_adopted_run_outlives_a_killed_supervisor_and_a_stop(
    start: Start, impatient: dict[str, object], rabbit_server: RabbitServer
) -> None:
    daemon = start(**impatient)
    gate = daemon.home / "gate"
    with daemon.client() as app:
        long = app.send_task("ledger.hold", (1, str(gate)))
        eventually(lambda: daemon.status()["tasks"]["adopted"] == 1)
        eventually(lambda: "celery\t0" in unsettled(rabbit_server).splitlines())
        daemon.kill(signal.SIGKILL)
        daemon.wait()
        assert adopted(daemon) == 1
        daemon.start(env=impatient["env"])  # type: ignore[arg-type]
        assert daemon.logged(r"ledger.hold\[.*\] was adopted by a supervisor .* \(death 1 of 3\)")
        eventually(lambda: daemon.ran("start") == {1: 2})

        eventually(lambda: daemon.status()["tasks"]["adopted"] == 1)
        daemon.kill(signal.SIGQUIT)
        assert daemon.wait() == 0
        assert adopted(daemon) == 0
        assert ready(str(impatient["broker"]), "celery") == 1
        daemon.start(env=impatient["env"])  # type: ignore[arg-type]
        gate.touch()
        assert long.get(timeout=30) == 1
    assert daemon.stop() == 0
    assert daemon.ran() == {1: 1}
