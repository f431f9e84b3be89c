"""A pool whose size is a range, in the daemon that a user starts."""

from __future__ import annotations

import os
import re
import signal
from typing import Any

import pytest

from tests.support.daemon import Workerd
from tests.support.eventually import eventually
from tests.system.conftest import Make, Start

QUICK = {"WORKERD_AUTOSCALE__WINDOW": "2s"}


def pool(daemon: Workerd, number: int = 0) -> Any:
    return daemon.status()["pools"][number]


def seen(daemon: Workerd, number: int = 0) -> Any:
    """What the autoscaler tells of a pool, once it has looked."""
    return eventually(lambda: pool(daemon, number)["autoscale"])


@pytest.mark.parametrize("broker", ["embedded", "rabbitmq"], indirect=True)
def test_it_grows_for_what_waits_and_shrinks_when_that_is_done(start: Start, broker: dict[str, str]) -> None:
    daemon = start(size="1-4", env=QUICK, **broker)
    with daemon.client() as app:
        app.send_task("ledger.run", (200, 0.05)).get(timeout=30)
        for number in range(200):
            app.send_task("ledger.run", (number, 0.05), ignore_result=True)
        full = eventually(lambda: (found := pool(daemon))["alive"] == 4 and found)
        assert full["reason"].startswith("autoscale: est. wait ")
        assert daemon.logged(r"Pool default: from 1 to \d slots: est\. wait \d+\.\d s over 1 s with \d+ wait")
        eventually(lambda: len(daemon.ran()) == 201)
    eventually(lambda: pool(daemon)["alive"] == 1)

    assert daemon.logged(r"Pool default: from \d to 1 slots: (idle|1 slot was enough) for 2 s")
    assert set(daemon.ran("start").values()) == {1}
    found = eventually(lambda: (now := seen(daemon))["reason"] == "idle" and now)
    assert (found["target"], found["wait"], found["backlog"]) == (1, 0.0, None)
    assert "    autoscale: idle\n" in daemon.run("status").stdout


def test_what_waits_at_the_broker_is_seen_and_nothing_is_held_here_for_it(start: Start) -> None:
    """Nothing ends, and this node takes no more than it can start."""
    daemon = start(size="1-2")
    gate = daemon.home / "gate"
    with daemon.client() as app:
        for number in range(7):
            app.send_task("ledger.hold", (number, str(gate)), ignore_result=True)
        eventually(lambda: pool(daemon)["busy"] == 2)
        found = eventually(lambda: seen(daemon)["backlog"] == 5 and daemon.status())
        assert found["tasks"]["running"] == 2
        assert found["tasks"]["reserved"] == 0
        told = "at its upper end; 5 waiting, and no task has ended yet"
        assert found["pools"][0]["autoscale"]["reason"] == told
        assert f"    autoscale: {told}\n" in daemon.run("status").stdout

        daemon.kill(signal.SIGTTIN)  # both ends go up, and the pool finds that it may grow again
        found = eventually(lambda: (now := pool(daemon))["busy"] == 3 and now)
        assert (found["lower"], found["upper"], found["wanted"]) == (2, 3, 3)
        gate.touch()
        eventually(lambda: len(daemon.ran()) == 7)


def test_a_task_that_runs_is_never_interrupted_by_shrinking(start: Start) -> None:
    daemon = start(size="1-3", env=QUICK)
    gates = [daemon.home / f"gate{number}" for number in range(3)]
    with daemon.client() as app:
        for number, gate in enumerate(gates):
            app.send_task("ledger.hold", (number, str(gate)), ignore_result=True)
        eventually(lambda: len(daemon.ran("start")) == 3)
        gates[0].touch(), gates[1].touch()
        eventually(lambda: pool(daemon)["alive"] == 1)
        assert pool(daemon)["busy"] == 1
        # By hand it may shrink below what runs; that one leaves after its task.
        app.send_task("ledger.hold", (3, str(gates[2])), ignore_result=True)
        eventually(lambda: daemon.ran("start")[3] == 1)
        assert daemon.run("scale", "1").returncode == 0
        assert pool(daemon)["busy"] == 2
        gates[2].touch()
        eventually(lambda: len(daemon.ran()) == 4)
    found = daemon.status()
    assert set(daemon.ran("start").values()) == {1}
    assert found["tasks"]["cut_off"] == 0


def test_the_memory_budget_holds_its_growth(make: Make) -> None:
    daemon = make(app="tests.support.apps.hungry")
    daemon.start("--memory-budget", "400MB", size="1-4")
    gate = daemon.home / "gate"
    with daemon.client() as app:
        hungry = app.send_task("hungry.hold", (330, str(gate)))
        eventually(lambda: (daemon.status()["memory"] or {}).get("stopped"))
        others = [app.send_task("hungry.hold", (1, str(gate))) for _ in range(3)]
        found = eventually(lambda: (now := seen(daemon))["backlog"] == 3 and now)
        assert (found["held"], pool(daemon)["alive"]) == (True, 1)
        assert found["reason"] == "held: memory budget; 3 waiting, and no task has ended yet"
        assert daemon.logged(r"Pool default: no more slots than 1, held: memory budget; \d waiting")
        gate.touch()
        assert [result.get(timeout=30) for result in (hungry, *others)] == [330 << 20, *[1 << 20] * 3]
    assert daemon.stop() == 0


def test_the_load_of_the_machine_holds_its_growth(start: Start) -> None:
    # This test's own work is load enough, seen at the latest after the kernel's five seconds.
    eventually(lambda: sum(range(1_000_000)) and os.getloadavg()[0] >= 0.02)
    daemon = start(size="1-4", env={"WORKERD_AUTOSCALE__MAX_LOAD": "0.0001"})
    gate = daemon.home / "gate"
    with daemon.client() as app:
        for number in range(4):
            app.send_task("ledger.hold", (number, str(gate)), ignore_result=True)
        found = eventually(lambda: (now := seen(daemon))["held"] and now)
        assert re.match(r"held: load \d+\.\d on \d+ CPUs; \d waiting", found["reason"])
        assert found["target"] == pool(daemon)["alive"] == 1
        gate.touch()
        eventually(lambda: len(daemon.ran()) == 4)


def test_each_pool_has_its_own_goal_and_scale_turns_it_off(start: Start) -> None:
    words = ("--pool", "patient:queues=later,size=1-4,autoscale.max_wait=1h")
    daemon = start(size="1-4", words=words)
    gate = daemon.home / "gate"
    with daemon.client() as app:
        for queue in ("celery", "later"):
            app.send_task("ledger.run", (0,), queue=queue).get(timeout=30)
            for number in range(1, 5):
                app.send_task("ledger.hold", (number, str(gate)), queue=queue, ignore_result=True)
        eventually(lambda: pool(daemon)["busy"] == 4)
        eventually(lambda: "within 3600 s with 3 waiting" in seen(daemon, 1)["reason"])
        assert pool(daemon, 1)["wanted"] == 1

        assert daemon.run("scale", "patient", "2").returncode == 0
        eventually(lambda: pool(daemon, 1)["busy"] == 2)
        assert pool(daemon, 1)["autoscale"] is None
        gate.touch()
        eventually(lambda: len(daemon.ran()) == 5)
