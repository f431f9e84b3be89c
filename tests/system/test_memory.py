"""Limits of memory and of a child's life, in the daemon that a user starts."""

from __future__ import annotations

import signal
from collections import Counter

import pytest

from tests.support.daemon import Workerd
from tests.support.eventually import eventually
from tests.system.conftest import Make
from workerd.exceptions import MemoryLimitExceeded

APP = "tests.support.apps.hungry"


def test_children_are_replaced_after_so_many_tasks(make: Make) -> None:
    daemon = make(app=APP).start("--max-tasks-per-child", "2", size="1")
    with daemon.client() as app:
        pids = Counter(app.send_task("hungry.pid").get(timeout=30) for _ in range(6))
    assert list(pids.values()) == [2, 2, 2]
    assert _quiet(daemon)
    assert daemon.stop() == 0


def test_a_child_that_has_too_much_after_a_task_is_replaced(make: Make) -> None:
    daemon = make(app=APP).start(size="1", env={"WORKERD_MAX_MEMORY_PER_CHILD": "120MB"})
    with daemon.client() as app:
        slim = app.send_task("hungry.leak", (1,)).get(timeout=30)
        assert app.send_task("hungry.leak", (150,)).get(timeout=30) == slim
        assert app.send_task("hungry.pid").get(timeout=30) != slim
    assert _quiet(daemon)
    assert daemon.stop() == 0


def test_a_task_that_takes_too_much_is_told_then_killed_and_does_not_run_again(make: Make) -> None:
    daemon = make(app=APP).start("--soft-memory-limit", "120MB", "--memory-limit", "250MB", size="1")
    told = daemon.home / "told"
    with daemon.client() as app:
        polite = app.send_task("hungry.until_told", (120, str(told)))
        with pytest.raises(MemoryLimitExceeded, match=r"soft memory limit \(120 MB\): its child has"):
            polite.get(timeout=30)
        assert told.read_text().startswith("soft memory limit")
        deaf = app.send_task("hungry.deaf")
        with pytest.raises(MemoryLimitExceeded, match=r"hard memory limit \(250 MB\): it had"):
            deaf.get(timeout=30)
        assert app.send_task("hungry.pid").get(timeout=30)
    assert daemon.logged(
        r"hungry.deaf\[.*lost its child \d+: hard memory limit \(250 MB\): it had .*memory limit"
    )
    found = daemon.status()
    assert (found["tasks"]["failed"], found["tasks"]["cut_off"]) == (2, 1)
    assert not found["pools"][0]["degraded"]
    assert daemon.stop() == 0


def test_near_its_budget_the_daemon_fetches_no_more_until_memory_is_free_again(make: Make) -> None:
    daemon = make(app=APP).start("--memory-budget", "400MB", size="2")
    gate = daemon.home / "gate"
    assert daemon.status()["memory"]["budget"] == 400 << 20
    with daemon.client() as app:
        hungry = app.send_task("hungry.hold", (420, str(gate)))
        eventually(lambda: "no pool grows" in daemon.status()["memory"]["stopped"])
        assert daemon.logged("no more tasks are fetched")
        waiting = app.send_task("hungry.pid")
        eventually(lambda: "no more tasks are fetched" in daemon.run("status").stdout)
        assert daemon.status()["tasks"]["received"] == 1
        for words in (["4"], ["+1"], ["3-4", "--dry-run"]):
            refused = daemon.run("scale", *words)
            assert refused.returncode == 1
            assert refused.stderr.startswith("workerd: pool default cannot grow from 2 to ")
            assert "slots now, memory is short: " in refused.stderr
        assert daemon.run("scale", "2-4").returncode == 0
        daemon.kill(signal.SIGTTIN)
        eventually(lambda: daemon.logged("Refused: pool default cannot grow from 2 to 3 slots now"))
        assert daemon.status()["pools"][0]["wanted"] == 2
        gate.touch()
        assert hungry.get(timeout=30) == 420 << 20
        assert waiting.get(timeout=30)
        eventually(lambda: daemon.logged("tasks are fetched again"))
        assert daemon.run("scale", "3").returncode == 0
    assert not daemon.status()["memory"]["stopped"]
    assert daemon.stop() == 0


def _quiet(daemon: Workerd) -> bool:
    """Nothing of it is a death or a trouble."""
    found = daemon.status()
    return found["tasks"]["cut_off"] == 0 and not found["pools"][0]["degraded"]
