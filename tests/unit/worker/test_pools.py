"""All pools as one: a generation is up when it is up in each, and its failure names the pool."""

from __future__ import annotations

from typing import Any

import pytest

from workerd.errors import UsageError
from workerd.worker.pools import Pools


class FakePool:
    def __init__(self, name: str, tasks: int = 2) -> None:
        self.name, self.generation, self.bounds = name, 0, (1, 2)
        self.asked: list[Any] = []
        self.lane = type("Lane", (), {"tasks": range(tasks)})

    def start(self) -> None:
        self.asked.append("start")

    def want(self, size: int, reason: str) -> None:
        self.asked.append(size)

    def reload(self, spec: Any) -> int:
        self.asked.append(spec)
        return self.generation + 1

    def close(self) -> None:
        self.asked.append("close")

    def terminate(self) -> None:
        self.asked.append("terminate")


class FakeReloads:
    def __init__(self) -> None:
        self.up = 0
        self.told: list[Any] = []

    def succeeded(self, generation: int, tasks: int, gone: list[str]) -> None:
        self.up = generation
        self.told.append((generation, tasks, *gone))

    def failed(self, generation: int, reason: str, traceback: str) -> None:
        self.told.append((generation, reason, traceback))


class Rig:
    def __init__(self, *names: str) -> None:
        self.reloads, self.gone = FakeReloads(), 0
        self.pools = Pools(self.reloads, self._gone)  # type: ignore[arg-type]
        for name in names:
            self.pools.add(FakePool(name))  # type: ignore[arg-type]

    def _gone(self) -> None:
        self.gone += 1

    def up(self, name: str, generation: int) -> None:
        self.pools[name].generation = generation  # type: ignore[misc]
        self.pools.came_up(name, generation, ["proj.old"] if generation > 1 else [])

    def started(self) -> Rig:
        self.pools.start()
        for name in self.pools:
            self.up(name, 1)
        self.reloads.told.clear()
        return self

    def reload(self) -> int:
        return self.pools.reload(lambda name: f"recipe of {name}")  # type: ignore[arg-type,return-value]


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
    assert [pool.asked for pool in rig.pools.values()] == [["start", 1]] * 2  # type: ignore[attr-defined]


def test_the_daemon_is_up_when_its_last_pool_is(rig: Rig) -> None:
    rig.pools.start()
    rig.up("video", 1)
    assert rig.reloads.told == []
    rig.up("default", 1)
    assert rig.reloads.told == [(1, 2)]


def test_a_first_generation_that_fails_in_one_pool_is_told_at_once_and_once(rig: Rig) -> None:
    rig.pools.start()
    rig.pools.failed("video", 1, "no such module", "trace")
    rig.up("default", 1)
    assert rig.reloads.told == [(1, "pool video: no such module", "trace")]


def test_a_reload_goes_to_every_pool_by_its_own_recipe(rig: Rig) -> None:
    rig.started()
    assert rig.reload() == 2
    asked = [pool.asked[-1] for pool in rig.pools.values()]  # type: ignore[attr-defined]
    assert asked == ["recipe of default", "recipe of video"]
    rig.up("default", 2)
    assert rig.reloads.told == []
    rig.up("video", 2)
    assert rig.reloads.told == [(2, 2, "proj.old")]


def test_a_pool_alone_is_not_named_in_its_failure() -> None:
    rig = Rig("default").started()
    rig.reload()
    rig.pools.failed("default", 2, "no such module", "")
    assert rig.reloads.told == [(2, "no such module", "")]


def test_what_a_pool_tells_of_another_generation_changes_nothing(rig: Rig) -> None:
    rig.started()
    rig.reload()
    rig.pools.failed("video", 1, "late", "")
    rig.up("video", 2), rig.up("default", 2)
    assert rig.reloads.told == [(2, 2, "proj.old")]


def test_the_end_is_told_once_when_every_pool_is_empty(rig: Rig) -> None:
    rig.pools.close(), rig.pools.terminate()
    rig.pools.emptied("video"), rig.pools.emptied("video")
    assert rig.gone == 0 and not rig.pools.empty
    rig.pools.emptied("default")
    assert rig.gone == 1 and rig.pools.empty
