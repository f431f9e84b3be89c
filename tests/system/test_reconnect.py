"""The broker goes and comes back: the daemon consumes again by itself, and nothing is lost."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.brokers import RedisServer
from tests.support.daemon import Workerd
from tests.support.eventually import eventually
from tests.system.conftest import Start


@pytest.fixture
def daemon(start: Start, server: Any, redis_server: RedisServer) -> Workerd:
    return start(broker=server.url, backend=redis_server.url)


def test_a_restarted_broker_is_found_again(daemon: Workerd, server: Any) -> None:
    gate = daemon.home / "gate"
    with daemon.client() as app:
        running = app.send_task("ledger.hold", (1, str(gate)))
        eventually(lambda: daemon.ran("start")[1] == 1)

        server.restart()
        eventually(lambda: daemon.status()["link"]["restarts"] >= 1, within=60)
        assert app.send_task("ledger.run", (2,)).get(timeout=60) == 2
        gate.touch()
        assert running.get(timeout=60) == 1
    assert daemon.stop() == 0
    assert daemon.ran("start") == {1: 1, 2: 1}


def test_a_killed_broker_loses_no_task(daemon: Workerd, server: Any) -> None:
    with daemon.client() as app:
        for number in range(200):
            app.send_task("ledger.run", (number, 0.01), ignore_result=True)
        eventually(lambda: len(daemon.ran()) > 20)
        server.restart()
        eventually(lambda: len(daemon.ran()) == 200, within=90)
    assert daemon.stop() == 0
    assert daemon.ran() == dict.fromkeys(range(200), 1)


def test_a_task_that_ends_while_the_broker_is_down_is_settled_later(daemon: Workerd, server: Any) -> None:
    gate = daemon.home / "gate"
    with daemon.client() as app:
        running = app.send_task("ledger.hold", (1, str(gate)))
        eventually(lambda: daemon.ran("start")[1] == 1)
        server.stop()
        eventually(lambda: daemon.status()["link"]["state"] != "up")
        gate.touch()
        eventually(lambda: daemon.ran()[1] == 1)
        server.start()
        assert running.get(timeout=60) == 1
        eventually(lambda: daemon.status()["link"]["state"] == "up", within=60)
        eventually(lambda: daemon.status()["tasks"]["settling"] == 0)
    assert daemon.stop() == 0
    assert daemon.ran("start") == {1: 1}


def test_a_daemon_waits_for_a_broker_that_is_down_at_its_start(
    make: Callable[..., Workerd], server: Any, redis_server: RedisServer
) -> None:
    server.stop()
    daemon = make(broker=server.url, backend=redis_server.url)
    daemon.start(ready=False)
    eventually(lambda: daemon.run("status").returncode == 0)
    eventually(lambda: daemon.logged("No link to the broker"))
    server.start()
    daemon.wait_ready()
    with daemon.client() as app:
        assert app.send_task("ledger.add", (1, 1)).get(timeout=30) == 2
    assert daemon.text().count("No link to the broker") == 1  # said once, not at each attempt
    assert daemon.stop() == 0


def test_a_stop_waits_for_no_broker_that_is_gone_and_says_what_it_could_not_be_told(
    start: Start, server: Any, redis_server: RedisServer
) -> None:
    options: dict[str, Any] = {
        "broker": server.url,
        "backend": redis_server.url,
        "env": {"WORKERD_DRAIN__GRACE": "1s"},
    }
    patient = ("--drain-timeout", "5m")  # far more than the test waits
    idle = start(**options, name="idle", home="idle", words=("--queues", "idle", *patient))
    busy = start(**options, name="busy", home="busy", words=patient)
    gate = busy.home / "gate"
    with busy.client() as app:
        app.send_task("ledger.hold", (1, str(gate)))
        eventually(lambda: busy.ran("start")[1] == 1)
    server.stop()
    for daemon in (idle, busy):
        eventually(lambda daemon=daemon: daemon.status()["link"]["state"] != "up")  # type: ignore[misc]
    assert idle.stop(within=60) == 0
    gate.touch()
    eventually(lambda: busy.ran()[1] == 1)
    assert busy.stop(within=60) == 75  # it has run, and the broker was not told: it will come again


def test_a_redis_that_forgot_its_last_second_makes_nothing_run_again(
    start: Start, redis_url: str, redis_server: RedisServer
) -> None:
    daemon = start(broker=redis_url, backend=redis_url, size="1")
    data, copy = redis_server.home / "appendonlydir", redis_server.home / "copy"
    gates = [daemon.home / name for name in ("one", "two")]
    with daemon.client() as app, redis_server.client() as client:
        for number, gate in enumerate(gates):
            app.send_task("ledger.hold", (number, str(gate)))
        eventually(lambda: daemon.ran("start")[0] == 1)
        # On disk from here on: the first is in flight, the second is in its queue.
        eventually(lambda: client.info("persistence")["aof_pending_bio_fsync"] == 0)
        shutil.copytree(data, copy)

        gates[0].touch()
        eventually(lambda: daemon.ran("start")[1] == 1)
        redis_server.kill()
        shutil.rmtree(data)
        copy.rename(data)
        redis_server.start()
        # The second is joined; the first too, unless its settlement was still to be sent.
        eventually(lambda: daemon.status()["tasks"]["repeated"] >= 1, within=60)
        gates[1].touch()
        eventually(lambda: client.hlen("unacked") == client.llen("celery") == 0)
    assert daemon.ran("start") == {0: 1, 1: 1}


def test_a_stop_soon_after_a_cut_leaves_no_lease_though_a_task_was_acknowledged_before(
    start: Start, redis_url: str, redis_server: RedisServer
) -> None:
    daemon = start(broker=redis_url, backend=redis_url)
    with daemon.client() as app:
        early = app.send_task("ledger.early", (1, 2.0))
        eventually(lambda: daemon.ran("start")[1] == 1)
        redis_server.drop_clients()
        eventually(lambda: daemon.status()["link"]["restarts"] == 1)
        assert early.get(timeout=60) == 1
    assert daemon.stop() == 0
    with redis_server.client() as client:
        assert list(client.scan_iter("workerd:*")) == []
