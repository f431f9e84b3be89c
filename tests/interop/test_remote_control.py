"""What ``celery inspect`` and ``celery control`` send, to a daemon of ours on Redis and on RabbitMQ."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.interop.stock import stock_client
from tests.support.brokers import empty_broker
from tests.support.daemon import Workerd, running
from tests.support.eventually import eventually
from tests.unit.protocol.wire_vectors import vector

NODE = f"main@{os.uname().nodename}"
CAPTURED = {
    name: one["reply_body"]["worker1@example.com"]
    for name, one in vector("control-inspect-replies")["replies"].items()
}


class Cluster:
    """A daemon with one slot, and a Celery client that talks to it."""

    def __init__(self, stack: ExitStack, home: Path, broker: str, backend: str) -> None:
        (home / "d").mkdir()
        self.broker = broker
        self.daemon: Workerd = stack.enter_context(
            running(home / "d", broker=broker, backend=backend, size="1")
        )
        self.app = stack.enter_context(stock_client(broker, backend))
        self.inspect = self.app.control.inspect([NODE], timeout=20.0)
        self._gates = home

    def look(self, name: str, **words: Any) -> Any:
        """One answer to an inspect command; a destination lets the client stop at the first."""
        return self.inspect._request(name, **words)[NODE]

    def control(self, name: str, *args: Any, **words: Any) -> Any:
        """One answer to a method of ``app.control``."""
        method = getattr(self.app.control, name)
        [answer] = method(*args, **words, destination=[NODE], reply=True, timeout=20.0)
        return answer[NODE]

    def hold(self, number: int, **options: Any) -> tuple[Any, Path]:
        """A task that runs until the file is there."""
        gate = self._gates / f"gate{number}"
        return self.app.send_task("ledger.hold", (number, str(gate)), **options), gate

    def started(self, number: int) -> bool:
        return self.daemon.ran("start")[number] > 0


@pytest.fixture(scope="module", params=["redis", "rabbitmq"])
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    broker, backend = empty_broker(request)
    home = Path(tempfile.mkdtemp(prefix="wd-"))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, home, ignore_errors=True)
        yield Cluster(stack, home, broker, backend)


def test_a_busy_daemon_answers_every_inspect_command_in_celerys_shapes(cluster: Cluster) -> None:
    first, gate = cluster.hold(1)
    eventually(lambda: cluster.started(1))
    later = cluster.app.send_task("ledger.add", (1, 2), countdown=30)
    [running] = cluster.look("active", safe=None)
    [captured] = CAPTURED["active"][:1]
    assert running.keys() == captured.keys()
    assert running["delivery_info"] == captured["delivery_info"]
    assert (running["id"], running["args"], running["kwargs"]) == (first.id, [1, str(gate)], {})
    assert running["worker_pid"] in {child["pid"] for child in cluster.daemon.children()}
    assert cluster.look("active", safe=True)[0]["args"] == f"(1, '{gate}')"
    gate.touch()
    assert first.get(timeout=30) == 1
    [waiting] = eventually(lambda: cluster.look("scheduled"))
    assert waiting.keys() == CAPTURED["scheduled"][0].keys()
    assert (waiting["request"]["id"], waiting["request"]["time_start"]) == (later.id, None)
    assert cluster.look("query_task", ids=[later.id, "nobody"])[later.id] == ["scheduled", waiting["request"]]
    assert cluster.look("reserved") == []
    assert "ledger.add" in cluster.look("registered")
    stats = cluster.look("stats")
    assert stats.keys() >= CAPTURED["stats"].keys()
    for part in ("broker", "pool", "rusage"):
        assert stats[part].keys() == CAPTURED["stats"][part].keys()
    assert (stats["total"], stats["pid"]) == ({"ledger.hold": 1}, cluster.daemon.pid)
    [queue] = cluster.look("active_queues")
    assert queue == CAPTURED["active_queues"][0]
    assert cluster.look("clock").keys() == {"clock"}
    assert "workerd" in cluster.look("report")["ok"]
    assert cluster.look("memsample").endswith("MB")
    assert cluster.look("conf")["broker_url"] == cluster.broker.replace(":guest@", ":**@")
    assert "not supported" in cluster.look("objgraph")["error"]
    assert cluster.control("revoke", later.id) == {"ok": f"tasks {{'{later.id}'}} flagged as revoked"}
    eventually(lambda: later.state == "REVOKED")
    assert cluster.look("revoked") == [later.id]


def test_revoke_spares_what_runs_and_terminate_does_not(cluster: Cluster) -> None:
    runs, _ = cluster.hold(2)
    waits, _ = cluster.hold(3)
    eventually(lambda: cluster.started(2))
    assert cluster.control("revoke", [runs.id, waits.id])["ok"].endswith("flagged as revoked")
    assert cluster.look("active")[0]["id"] == runs.id
    assert cluster.control("terminate", runs.id) == {"ok": f"terminate: {runs.id}"}
    eventually(lambda: (runs.state, waits.state) == ("REVOKED", "REVOKED"))
    assert not cluster.started(3)
    assert cluster.control("terminate", "nobody", signal="KILL") == {"ok": "terminate: tasks unknown"}


def test_a_stamp_that_is_revoked_stops_what_bears_it(cluster: Cluster) -> None:
    stamps = {"batch": "b-1"}
    assert cluster.control("revoke_by_stamped_headers", stamps)["ok"].endswith("but not terminated")
    with_it, _ = cluster.hold(4, headers={"stamps": stamps, "stamped_headers": ["batch"]})
    eventually(lambda: with_it.state == "REVOKED")
    assert not cluster.started(4)


def test_limits_pools_and_queues_change_while_it_runs(cluster: Cluster) -> None:
    daemon = cluster.daemon
    assert (
        cluster.control("time_limit", "ledger.add", hard=60, soft=50)["ok"] == "time limits set successfully"
    )
    assert daemon.status()["limits"] == {"ledger.add": {"soft": 50.0, "hard": 60.0}}
    assert cluster.control("time_limit", "nobody", hard=1) == {"error": "unknown task"}
    assert cluster.control("rate_limit", "ledger.add", "100/m")["ok"] == "new rate limit set successfully"
    assert daemon.status()["rates"]["ledger.add"]["rate"] == "1.667/s"
    assert "ledger.add [rate_limit=100/m]" in cluster.look("registered")
    assert cluster.control("rate_limit", "ledger.add", 0)["ok"] == "rate limit disabled successfully"
    assert cluster.control("pool_grow", 2) == {"ok": "pool will grow"}
    assert cluster.control("pool_shrink", 2) == {"ok": "pool will shrink"}
    assert daemon.status()["pools"][0]["wanted"] == 1
    assert cluster.control("add_consumer", "extra") == {"ok": "add consumer extra"}
    assert cluster.app.send_task("ledger.add", (2, 3), queue="extra").get(timeout=30) == 5
    assert cluster.control("cancel_consumer", "extra") == {"ok": "no longer consuming from extra"}
    assert [queue["name"] for queue in cluster.look("active_queues")] == ["celery"]
    assert cluster.control("pool_restart") == {"ok": "reload started"}
    eventually(lambda: daemon.status()["pools"][0]["generation"] == 2)
    assert cluster.control("autoscale", 3, 1) == {"ok": "autoscale now max=3 min=1"}
    assert "not supported with autoscale" in cluster.control("pool_grow", 1)["error"]


def test_nothing_that_comes_in_is_fatal_and_shutdown_stops_it(cluster: Cluster) -> None:
    with cluster.app.connection() as connection:
        mailbox = cluster.app.control.mailbox(connection)
        producer = connection.Producer()
        for body in ("text", [1], {"method": None}, {"method": "ping", "reply_to": {"exchange": "x"}}):
            producer.publish(body, exchange=mailbox.exchange, declare=[mailbox.exchange])
    assert cluster.look("ping") == {"ok": "pong"}
    cluster.app.control.shutdown(destination=[NODE])
    assert cluster.daemon.wait() == 0
    assert cluster.daemon.logged("Got shutdown from remote")
