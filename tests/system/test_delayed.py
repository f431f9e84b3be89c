"""Tasks that are due late wait in the broker: whoever dies meanwhile, they run at their time, and once."""

from __future__ import annotations

import json
import signal
import time
from datetime import UTC, datetime
from typing import Any

import psutil
import pytest
from kombu import Connection

from tests.support.daemon import Workerd
from tests.support.eventually import eventually
from tests.system.conftest import Start

HORIZON = {"WORKERD_ETA_HORIZON": "1s"}


HELD = ("scheduled", "reserved", "running", "storing", "settling")


@pytest.mark.parametrize("broker", ["redis", "rabbitmq"], indirect=True)
def test_late_tasks_outlive_daemon_and_broker_and_run_once(
    start: Start, broker: dict[str, str], request: pytest.FixtureRequest
) -> None:
    kind = "rabbit" if broker["broker"].startswith("amqp") else "redis"
    server: Any = request.getfixturevalue(f"{kind}_server")
    if kind == "redis":
        with server.client() as client:  # by default a killed Redis forgets its last second
            client.config_set("appendfsync", "always")
    daemon = start(**broker, env=HORIZON)
    with daemon.client() as app:
        for number in range(20):
            app.send_task("ledger.run", (number,), countdown=15 + number / 10, ignore_result=True)
        held = app.send_task("ledger.run", (20,), countdown=1, ignore_result=True)
        eventually(lambda: daemon.status()["tasks"]["parked"] == 20)
        assert held
        eventually(lambda: not any(daemon.status()["tasks"][stage] for stage in HELD))
        daemon.kill(signal.SIGKILL)
        daemon.wait()
        # RabbitMQ writes acknowledgements late: killed, it would have some of the originals again.
        server.stop() if kind == "rabbit" else server.kill()
        server.start()
        daemon.start(env=HORIZON)
        eventually(lambda: len(daemon.ran()) == 21, within=90)
        eventually(lambda: daemon.status()["tasks"]["parked"] == 0)
    assert set(daemon.ran("start").values()) == {1}


MB = 1 << 20


def send_many(daemon: Workerd, count: int, eta: float) -> None:
    """``ledger.run`` of each number, due at ``eta``; a client of its own, because ours needs a minute."""
    moment = datetime.fromtimestamp(eta, UTC).isoformat()
    with Connection(daemon.broker) as connection:
        producer = connection.Producer(auto_declare=False)
        for number in range(count):
            producer.publish(
                json.dumps([[number], {}, {}]),
                routing_key="celery",
                content_type="application/json",
                content_encoding="utf-8",
                headers={"task": "ledger.run", "id": f"id-{number}", "eta": moment, "ignore_result": True},
            )


class Memory:
    """The supervisor's, from its measure before on."""

    def __init__(self, daemon: Workerd) -> None:
        self.process = psutil.Process(daemon.pid)
        self.before = self.most = self.process.memory_info().rss

    def look(self) -> bool:
        self.most = max(self.most, self.process.memory_info().rss)
        return True

    @property
    def cost(self) -> float:
        """Megabytes at the most."""
        return (self.most - self.before) / MB


@pytest.mark.parametrize("broker", ["redis", "rabbitmq"], indirect=True)
def test_many_late_tasks_cost_the_daemon_little(start: Start, broker: dict[str, str]) -> None:
    daemon = start(**broker)
    memory = measured(daemon)
    send_many(daemon, 2_000, time.time() + 3600)
    eventually(lambda: memory.look() and daemon.status()["tasks"]["parked"] == 2_000, within=60)
    assert memory.cost < 20
    assert daemon.ran() == {}


def measured(daemon: Workerd) -> Memory:
    """Of a daemon that has run a task."""
    with daemon.client() as app:
        app.send_task("ledger.add", (1, 2)).get(timeout=30)
    return Memory(daemon)


@pytest.mark.long
@pytest.mark.parametrize("broker", ["redis", "rabbitmq"], indirect=True)
def test_a_hundred_thousand_late_tasks_outlive_daemon_and_broker_and_run_once(
    start: Start, broker: dict[str, str], request: pytest.FixtureRequest
) -> None:
    count, ahead = 100_000, 600.0
    kind = "rabbit" if broker["broker"].startswith("amqp") else "redis"
    daemon = start(**broker, env=HORIZON)
    memory, began = measured(daemon), time.time()
    eta = began + ahead
    send_many(daemon, count, eta)
    sent = time.time() - began
    eventually(lambda: memory.look() and daemon.status()["tasks"]["parked"] == count, within=ahead)
    print(f"{kind}: sent in {sent:.1f} s, parked after {time.time() - began:.1f} s, {memory.cost:.1f} MB")
    assert memory.cost < 20

    server: Any = request.getfixturevalue(f"{kind}_server")
    server.stop()
    daemon.kill(signal.SIGKILL)
    daemon.wait()
    server.start()
    daemon.start(env=HORIZON)
    memory = Memory(daemon)
    eventually(lambda: daemon.status()["tasks"]["parked"] == count, within=60)
    eventually(lambda: memory.look() and len(daemon.ran()) == count, within=ahead + 600, every=0.5)
    print(f"{kind}: all have run {time.time() - eta:.1f} s after their time, {memory.cost:.1f} MB")
    assert memory.cost < 20
    assert set(daemon.ran().values()) == {1}
    eventually(lambda: daemon.status()["tasks"]["parked"] == 0)
