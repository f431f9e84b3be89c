"""Several daemons on one Redis: the work of one that is gone is run by another, and only once."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from collections.abc import Callable

import pytest
import redis

from tests.support.brokers import RedisServer
from tests.support.daemon import Workerd
from tests.support.eventually import eventually
from tests.system.conftest import Start

LEASE = "2s"


@pytest.fixture
def node(start: Start, redis_url: str) -> Callable[..., Workerd]:
    """``node(name)``: one daemon of a cluster on the session's Redis."""

    def one(name: str, lease: str = LEASE, **options: object) -> Workerd:
        env = {"WORKERD_LEASE": lease, "WORKERD_ETA_HORIZON": "1h"}
        return start(home=name, name=name, broker=redis_url, backend=redis_url, env=env, **options)

    return one


def test_the_task_of_a_killed_node_runs_on_another(
    node: Callable[..., Workerd], redis_server: RedisServer
) -> None:
    first = node("first")
    with first.client() as app, redis_server.client() as client:
        held = app.send_task("ledger.hold", (1, "gate"))
        waiting = app.send_task("ledger.run", (2,), countdown=600)  # held: see ``node``
        eventually(lambda: first.ran("start")[1] == first.status()["tasks"]["scheduled"] == 1)
        eventually(lambda: [client.hlen(key) for key in client.keys("workerd:deaths:*")] == [1])
        second = node("second")
        first.kill(signal.SIGKILL)
        first.wait()

        eventually(lambda: second.ran("start")[1] == 1)
        # The one that was running is counted, the one that was not is not.
        assert deaths(client) == Counter({1: 1, None: 1})
        (second.home / "gate").touch()
        assert held.get(timeout=30) == 1
        assert second.logged("Gave back 2 of the messages of workerd-first-")
        assert second.status()["tasks"]["scheduled"] == 1
        assert waiting.state == "PENDING"

        first.start()
        assert app.send_task("ledger.run", (3,)).get(timeout=30) == 3
        eventually(lambda: client.hlen("unacked") == 1)  # settled a moment after its result is there
    assert first.ran("start") + second.ran("start") == Counter({1: 2, 3: 1})


def test_a_node_that_was_stopped_past_its_lease_settles_nothing_of_others(
    node: Callable[..., Workerd], redis_server: RedisServer
) -> None:
    first = node("first")
    with first.client() as app, redis_server.client() as client:
        held = app.send_task("ledger.hold", (1, "gate"))
        app.send_task("ledger.run", (2,), countdown=5)
        eventually(lambda: first.ran("start")[1] == first.status()["tasks"]["scheduled"] == 1)
        os.kill(first.pid, signal.SIGSTOP)
        try:
            second = node("second")
            eventually(lambda: second.ran("start")[1] == second.ran()[2] == 1)
        finally:
            os.kill(first.pid, signal.SIGCONT)

        (first.home / "gate").touch()
        eventually(lambda: first.ran()[1] == 1)
        eventually(lambda: not any(first.status()["tasks"][s] for s in ("running", "storing", "settling")))
        assert first.status()["tasks"]["repeated"] == 1
        assert first.status()["tasks"]["scheduled"] == 0
        assert first.logged("ledger.hold.* was taken over by another node.*; it runs twice")
        assert first.logged("ledger.run.* was taken over by another node.*; it does not run here")
        # What has ended is settled a moment after; what is left is the second's run, which goes on.
        eventually(lambda: client.hlen("unacked") == 1)
        [tag] = client.hkeys("unacked")
        assert tag.startswith(b"workerd-second-")
        (second.home / "gate").touch()
        assert held.get(timeout=30) == 1
        eventually(lambda: not client.exists("unacked"))
    assert first.ran("start") + second.ran("start") == Counter({1: 2, 2: 1})


def test_a_node_that_stops_as_it_should_leaves_no_keys_behind(
    node: Callable[..., Workerd], redis_server: RedisServer
) -> None:
    first = node("first")
    with first.client() as app, redis_server.client() as client:
        assert app.send_task("ledger.run", (1,)).get(timeout=30) == 1
        assert first.stop() == 0
        left = {key for key in client.scan_iter() if client.ttl(key) == -1}
        assert left == {b"_kombu.binding.celery", b"_kombu.binding_permanent.celery"}
        assert not list(client.scan_iter("workerd:*"))


def deaths(client: redis.Redis) -> Counter[int | None]:
    """How many messages in flight tell of so many deaths."""
    entries = [json.loads(entry) for entry in client.hvals("unacked")]
    return Counter(message["headers"].get("x-workerd-deaths") for message, *_ in entries)


@pytest.mark.long
def test_three_nodes_repeat_nothing_after_an_outage_of_three_leases(
    node: Callable[..., Workerd], redis_server: RedisServer
) -> None:
    nodes = [node(name, lease="10s") for name in ("one", "two", "three")]
    with nodes[0].client() as app, redis_server.client() as client:
        for number in range(6):
            app.send_task("ledger.hold", (number, "gate"), ignore_result=True)
        eventually(lambda: sum(len(each.ran("start")) for each in nodes) == 6)
        dead = node("dead", lease="10s")
        app.send_task("ledger.hold", (6, "gate"), ignore_result=True)
        eventually(lambda: dead.ran("start")[6] == 1)
        dead.kill(signal.SIGKILL)
        redis_server.kill()
        began = os.times().elapsed
        eventually(lambda: os.times().elapsed > began + 30, within=60)
        redis_server.start()

        # The dead one is the measure of how long the others were watched.
        eventually(lambda: client.hlen("unacked") + client.llen("celery") == 7)
        eventually(lambda: client.llen("celery") == 1, within=60)
        for each in nodes:
            (each.home / "gate").touch()
        eventually(lambda: not client.exists("unacked", "celery"), within=60)
    assert sum((each.ran("start") for each in nodes), Counter()) == Counter(range(7))
    assert all(each.status()["tasks"]["repeated"] == 0 for each in nodes)
