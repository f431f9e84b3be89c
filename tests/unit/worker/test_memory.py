"""The memory keeper: what stops near the budget, and when it looks at all."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.cgroups import FakeCgroups
from tests.support.clock import FakeClock
from workerd.worker.pool.memory import MemoryKeeper
from workerd_pool import MemoryBudget

MB = 1 << 20


class FakeHub:
    """One timer at a time, fired by hand."""

    def __init__(self) -> None:
        self.due: Callable[[], None] | None = None

    def call_later(self, delay: float, callback: Callable[[], None]) -> Any:
        assert delay == 1.0
        assert self.due is None
        self.due = callback
        return SimpleNamespace(cancel=self._cancel)

    def second(self) -> None:
        due, self.due = self.due, None
        assert due is not None
        due()

    def _cancel(self) -> None:
        self.due = None


class FakePool:
    def __init__(self) -> None:
        self.busy, self.sheds = 1, 0

    def processes(self) -> list[int]:
        return []

    def shed(self) -> bool:
        self.sheds += 1
        return True


class Rig:
    """A keeper whose cgroup has a limit of 1000 MB, so a budget of 900 MB."""

    def __init__(self, directory: Path) -> None:
        self.tree = FakeCgroups(directory)
        self.uses(0)
        self.hub, self.pool = FakeHub(), FakePool()
        self.pools = {"default": self.pool}
        self.dispatcher = SimpleNamespace(paused="", pump=self._pump)
        self.pumps = 0
        worker: Any = SimpleNamespace(
            hub=self.hub, pools=self.pools, dispatcher=self.dispatcher, clock=FakeClock()
        )
        self.keeper = MemoryKeeper(worker, MemoryBudget(None, self.tree.own("unit")))

    def _pump(self) -> None:
        self.pumps += 1

    def uses(self, mb: int) -> None:
        self.tree.group("unit", limit=1000 * MB, used=mb * MB)

    def second(self, mb: int) -> tuple[bool, bool]:
        """One second later: (fetching, growth allowed)."""
        self.uses(mb)
        self.hub.second()
        return not self.dispatcher.paused, self.keeper.may_grow


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def test_near_the_budget_fetching_stops_then_growth(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    rig.keeper.watch()
    assert [rig.second(mb) for mb in (700, 815, 860, 815, 800, 700)] == [
        (True, True),
        (False, True),
        (False, False),
        (False, False),
        (False, True),
        (True, True),
    ]
    assert rig.keeper.short == ""
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING", "INFO", "INFO"]
    assert caplog.messages[0] == (
        "Memory: 815 MB of 900 MB are in use (cgroup /unit); "
        "no more tasks are fetched, save one at a time while nothing runs"
    )
    assert "tasks are fetched again" in caplog.messages[-1]


def test_under_pressure_idle_children_are_replaced_and_the_lanes_asked_each_second(rig: Rig) -> None:
    rig.keeper.watch()
    rig.second(700)
    assert (rig.pool.sheds, rig.pumps) == (0, 0)
    rig.second(890)
    before = rig.pumps
    rig.second(890)
    assert (rig.pool.sheds, rig.pumps) == (2, before + 1)


def test_one_child_a_second_is_replaced_whatever_pool_it_is_in(rig: Rig) -> None:
    video = rig.pools["video"] = FakePool()
    rig.pool.shed = lambda: False  # type: ignore[method-assign]  # none of it has grown
    rig.keeper.watch()
    rig.second(890)
    rig.second(890)
    assert video.sheds == 2
    rig.pool.busy = 0
    rig.second(100)
    assert rig.hub.due is not None, "the other pool is busy"


def test_nothing_is_looked_at_while_nothing_runs_and_nothing_is_stopped(rig: Rig) -> None:
    rig.keeper.watch(), rig.keeper.watch()
    rig.pool.busy = 0
    rig.second(890)
    assert rig.hub.due is not None
    rig.second(100)
    assert rig.hub.due is None
    rig.keeper.watch()
    rig.keeper.stop(), rig.keeper.stop()
    assert rig.hub.due is None


def test_a_look_that_fails_is_not_the_last_one_while_fetching_is_stopped(rig: Rig) -> None:
    rig.keeper.watch()
    rig.second(890)
    rig.pool.busy = 0

    def broken() -> bool:
        raise RuntimeError("a fault of ours")

    rig.pool.shed = broken  # type: ignore[method-assign]
    with pytest.raises(RuntimeError):
        rig.second(890)
    assert rig.second(100) == (True, True)


def test_without_any_budget_it_never_looks(rig: Rig) -> None:
    keeper = MemoryKeeper(rig.keeper.worker, MemoryBudget(0))
    keeper.watch()
    assert rig.hub.due is None
    assert keeper.status() is None


def test_the_status_says_what_is_stopped(rig: Rig) -> None:
    rig.uses(450)
    assert rig.keeper.status() == {
        "used": 450 * MB,
        "budget": 900 * MB,
        "text": "450 MB of 900 MB are in use (cgroup /unit)",
        "stopped": "",
    }
    rig.keeper.watch()
    rig.second(890)
    found = rig.keeper.status()
    assert found is not None
    assert found["stopped"].endswith("and no pool grows")
    assert rig.keeper.short == "memory is short: 890 MB of 900 MB are in use (cgroup /unit)"
