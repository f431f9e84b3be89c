"""All pools as one: a generation is up when it is up in each, and its failure names the pool."""

from __future__ import annotations

from typing import Any

import pytest

from workerd.errors import UsageError
from workerd.worker.pool.pools import Pools
from workerd.worker.pool.reloads import Change


class FakePool:
    """Remembers what it was asked; ``way_back`` is what ``abandon`` answers."""

    def __init__(self, name: str, tasks: int = 2) -> None:
        self.name, self.generation, self.bounds = name, 0, (1, 2)
        self.asked: list[Any] = []
        self.way_back = True
        self.lane = type("Lane", (), {"tasks": range(tasks)})

    def start(self, *, hold: bool) -> None:
        self.asked.append(("start", hold))

    def want(self, size: int, reason: str) -> None:
        self.asked.append(size)

    def reload(self, spec: Any, *, hold: bool) -> int:
        self.asked.append((spec, hold))
        return self.generation + 1

    def promote(self, generation: int) -> None:
        self.asked.append(("promote", generation))

    def commit(self, generation: int) -> None:
        self.asked.append(("commit", generation))

    def abandon(self, generation: int) -> bool:
        self.asked.append(("abandon", generation))
        return self.way_back

    def close(self) -> None:
        self.asked.append("close")

    def terminate(self) -> None:
        self.asked.append("terminate")


class FakeReloads:
    def __init__(self) -> None:
        self.told: list[Any] = []

    def came_up(self, generation: int, change: Change) -> None:
        self.told.append((generation, change.tasks, *change.gone))

    def settled(self, generation: int) -> None:
        self.told.append(("settled", generation))

    def complete(self, generation: int) -> None:
        self.told.append(("complete", generation))

    def failed(self, generation: int, reason: str, traceback: str, serves: int) -> None:
        self.told.append((generation, reason, traceback, serves))


class Rig:
    def __init__(self, *names: str) -> None:
        self.reloads, self.gone = FakeReloads(), 0
        self.pools = Pools(self.reloads, self._gone)  # type: ignore[arg-type]
        for name in names:
            self.pools.add(FakePool(name))  # type: ignore[arg-type]

    def _gone(self) -> None:
        self.gone += 1

    def passed(self, generation: int, *names: str) -> None:
        for name in names or self.pools:
            self.pools.passed(name, generation)

    def up(self, name: str, generation: int) -> None:
        self.pools[name].generation = generation  # type: ignore[misc]
        self.pools.came_up(name, generation, Change(2, ["proj.old"] if generation > 1 else []))

    def all_up(self, generation: int) -> None:
        for name in self.pools:
            self.up(name, generation)

    def asked(self) -> list[list[Any]]:
        """What each pool was asked since the last look."""
        found = [list(pool.asked) for pool in self.pools.values()]  # type: ignore[attr-defined]
        for pool in self.pools.values():
            pool.asked.clear()  # type: ignore[attr-defined]
        return found

    def started(self) -> Rig:
        self.pools.start()
        self.passed(1), self.all_up(1)
        for name in self.pools:
            self.pools.completed(name, 1)
        self.reloads.told.clear(), self.asked()
        return self

    def reload(self) -> int:
        number: int = self.pools.reload(lambda name: f"recipe of {name}")  # type: ignore[arg-type,return-value]
        return number

    def reloading(self) -> Rig:
        """A daemon whose generation 2 is on trial."""
        self.started().reload()
        self.asked()
        return self


@pytest.fixture
def rig() -> Rig:
    return Rig("default", "video")


def test_it_is_a_mapping_with_the_default_pool_first(rig: Rig) -> None:
    assert list(rig.pools) == ["default", "video"]
    assert rig.pools.default is rig.pools["default"]
    with pytest.raises(UsageError, match="there is no pool 'vid'; pools: default, video"):
        rig.pools.named("vid")


def test_every_pool_starts_with_the_lower_end_of_its_size(rig: Rig) -> None:
    rig.pools.start()
    assert rig.asked() == [[("start", True), 1]] * 2


def test_a_generation_serves_when_it_has_passed_in_every_pool(rig: Rig) -> None:
    rig.reloading()
    rig.passed(2, "video")
    assert rig.asked() == [[], []]
    rig.passed(2, "default")
    assert rig.asked() == [[("promote", 2)]] * 2


def test_the_daemon_is_up_when_its_last_pool_is(rig: Rig) -> None:
    rig.pools.start()
    rig.passed(1)
    rig.up("video", 1)
    assert rig.reloads.told == []
    rig.up("default", 1)
    assert rig.reloads.told == [(1, 2)]


def test_a_first_generation_that_fails_in_one_pool_is_told_once(rig: Rig) -> None:
    rig.pools.start()
    rig.asked()
    rig.pools.failed("video", 1, "no such module", "trace")
    rig.pools.failed("default", 1, "no such module", "trace")
    rig.passed(1, "default")
    assert rig.reloads.told == [(1, "pool video: no such module", "trace", 0)]
    assert rig.asked() == [[("abandon", 1)], []]


def test_a_reload_goes_to_every_pool_by_its_own_recipe(rig: Rig) -> None:
    assert rig.started().reload() == 2
    assert rig.asked() == [[("recipe of default", True)], [("recipe of video", True)]]
    rig.passed(2)
    rig.up("default", 2)
    assert rig.reloads.told == []
    rig.up("video", 2)
    assert rig.reloads.told == [(2, 2, "proj.old")]


def test_a_trial_that_fails_in_one_pool_is_over_in_all(rig: Rig) -> None:
    rig.reloading()
    rig.passed(2, "default")
    rig.pools.failed("video", 2, "no such module", "trace")
    assert rig.asked() == [[("abandon", 2)], []]
    assert rig.reloads.told == [(2, "pool video: no such module", "trace", 1)]


def test_a_failure_after_the_trial_brings_every_pool_back(rig: Rig) -> None:
    rig.reloading()
    rig.passed(2), rig.all_up(2), rig.pools.completed("default", 2)
    rig.asked(), rig.reloads.told.clear()
    for name in rig.pools:
        rig.up(name, 1)
    rig.pools.failed("video", 2, "one of its children", "")
    assert rig.asked() == [[("abandon", 2)], []]
    assert rig.reloads.told == [(2, "pool video: one of its children", "", 1)]


def test_a_pool_without_a_way_back_is_named(rig: Rig) -> None:
    rig.reloading()
    rig.passed(2), rig.all_up(2)
    rig.reloads.told.clear()
    rig.pools.default.way_back = False  # type: ignore[attr-defined]
    rig.up("video", 1)
    rig.pools.failed("video", 2, "one of its children", "")
    assert rig.reloads.told == [(2, "pool video: one of its children; no way back for: default", "", 1)]


def test_the_way_back_is_kept_until_no_old_child_is_left_in_any_pool(rig: Rig) -> None:
    rig.reloading()
    rig.passed(2), rig.all_up(2)
    rig.asked()
    rig.pools.completed("default", 2)
    assert rig.asked() == [[], []]
    rig.pools.completed("video", 2)
    assert rig.asked() == [[("commit", 2)]] * 2


def test_each_stage_is_told_by_the_last_pool_that_reaches_it(rig: Rig) -> None:
    rig.reloading()
    rig.passed(2), rig.all_up(2)
    rig.reloads.told.clear()
    rig.pools.settled("default", 2), rig.pools.completed("default", 2)
    assert rig.reloads.told == []
    rig.pools.settled("video", 2), rig.pools.completed("video", 2)
    assert rig.reloads.told == [("settled", 2), ("complete", 2)]


def test_a_reload_before_the_last_one_is_complete_takes_its_place(rig: Rig) -> None:
    rig.reloading()
    rig.passed(2), rig.all_up(2), rig.pools.completed("default", 2)
    assert rig.reload() == 3
    rig.passed(3), rig.all_up(3)
    rig.asked()
    rig.pools.completed("video", 2)
    assert rig.asked() == [[], []]


def test_a_reload_that_fails_leaves_the_one_before_to_be_completed(rig: Rig) -> None:
    rig.reloading()
    rig.passed(2), rig.all_up(2), rig.pools.completed("default", 2)
    rig.reload()
    rig.pools.failed("default", 3, "no such module", "")
    rig.asked()
    rig.pools.completed("video", 2)
    assert rig.asked() == [[("commit", 2)]] * 2


def test_a_pool_alone_is_not_named_in_its_failure() -> None:
    rig = Rig("default").started()
    rig.reload()
    rig.pools.failed("default", 2, "no such module", "")
    assert rig.reloads.told == [(2, "no such module", "", 1)]


def test_what_a_pool_tells_of_another_generation_changes_nothing(rig: Rig) -> None:
    rig.reloading()
    rig.pools.failed("video", 1, "late", "")
    rig.passed(1), rig.pools.completed("video", 1)
    assert rig.asked() == [[], []] and rig.reloads.told == []


def test_one_that_is_overtaken_on_trial_is_not_told_as_a_failure(rig: Rig) -> None:
    rig.reloading()
    for pool in rig.pools.values():
        pool.generation = 2  # type: ignore[misc]
    assert rig.reload() == 3
    rig.pools.failed("video", 2, "overtaken by generation 3", "")
    assert rig.reloads.told == []


def test_the_end_is_told_once_when_every_pool_is_empty(rig: Rig) -> None:
    rig.pools.close(), rig.pools.terminate()
    rig.pools.emptied("video"), rig.pools.emptied("video")
    assert rig.gone == 0 and not rig.pools.empty
    rig.pools.emptied("default")
    assert rig.gone == 1 and rig.pools.empty
