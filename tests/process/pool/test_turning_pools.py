"""Real pools that take new code as one: all of them, or none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.process.pool.conftest import Notes, Rig, spec_of
from workerd.worker.pool.pools import Pools
from workerd.worker.pool.reloads import Change
from workerd_pool import Pool, Spec


class Reloads:
    """What the daemon's reloads hear."""

    def __init__(self) -> None:
        self.told = list[Any]()
        self.settled_, self.completed, self.serves = list[int](), list[int](), 0

    def came_up(self, generation: int, change: Change) -> None:
        self.told.append(generation)

    def settled(self, generation: int) -> None:
        self.settled_.append(generation)

    def complete(self, generation: int) -> None:
        self.completed.append(generation)

    def failed(self, generation: int, reason: str, traceback: str, serves: int) -> None:
        self.told.append(reason)
        self.serves = serves


class Told(Notes):
    """The host of one pool, which passes on what matters."""

    def __init__(self, pools: Pools, name: str) -> None:
        super().__init__()
        self._pools, self._name = pools, name

    def on_passed(self, generation: int) -> None:
        self._pools.passed(self._name, generation)

    def on_up(self, generation: int, table: dict[str, Any]) -> None:
        super().on_up(generation, table)
        self._pools.came_up(self._name, generation, Change(0))

    def on_settled(self, generation: int) -> None:
        self._pools.settled(self._name, generation)

    def on_complete(self, generation: int) -> None:
        self._pools.completed(self._name, generation)

    def on_generation_failed(self, generation: int, reason: str, traceback: str) -> None:
        self._pools.failed(self._name, generation, reason, traceback)


class Named(Pool):
    """A pool as ``Pools`` knows it."""

    def __init__(self, rig: Rig, name: str, listener: Told) -> None:
        super().__init__(rig.loop, spec_of(), listener, rig.pool.reaper)
        self.name, self.bounds, self.lane = name, (2, 2), SimpleNamespace(tasks=())


class Daemon:
    """Two pools of two children each."""

    def __init__(self, rig: Rig) -> None:
        self.rig, self.reloads = rig, Reloads()
        self.pools = Pools(self.reloads, lambda: None)  # type: ignore[arg-type]
        self.told = {name: Told(self.pools, name) for name in ("default", "video")}
        for name, listener in self.told.items():
            self.pools.add(Named(rig, name, listener))  # type: ignore[arg-type]

    def turn(self, **specs: Spec) -> None:
        """Reload each pool by its own recipe, and wait for the word that it went well or not."""
        before = len(self.reloads.told)
        self.pools.reload(specs.__getitem__)
        self.rig.until(lambda: len(self.reloads.told) > before)

    def generations(self) -> set[int]:
        """Of every child there is."""
        return {child.generation for pool in self.pools.values() for child in pool.children()}

    def is_whole(self) -> bool:
        return all(len(pool.children()) == pool.alive == 2 for pool in self.pools.values())


@pytest.fixture
def daemon(rig: Rig) -> Iterator[Daemon]:
    daemon = Daemon(rig)
    daemon.pools.start()
    rig.until(daemon.is_whole)
    yield daemon
    daemon.pools.terminate()
    rig.until(lambda: all(notes.empty for notes in daemon.told.values()))


def test_both_take_the_new_code(daemon: Daemon, rig: Rig) -> None:
    daemon.turn(default=spec_of(version=2), video=spec_of(version=2))
    rig.until(lambda: daemon.generations() == {2} and daemon.is_whole())
    assert daemon.reloads.told == [1, 2]
    rig.until(lambda: daemon.reloads.completed == [1, 2])
    assert daemon.reloads.settled_ == [1, 2]


def test_a_trial_that_fails_in_one_leaves_both_as_they_are(daemon: Daemon, rig: Rig) -> None:
    before = {child.pid for pool in daemon.pools.values() for child in pool.children()}
    daemon.turn(default=spec_of(version=2), video=spec_of(fails_unless="/nonexistent"))
    assert daemon.reloads.told[1].startswith("pool video: ")
    rig.until(lambda: daemon.generations() == {1} and daemon.is_whole())
    assert {child.pid for pool in daemon.pools.values() for child in pool.children()} == before
    assert [generation for generation, _ in daemon.told["default"].up] == [1]


def test_a_failure_after_the_trial_of_one_brings_both_back(daemon: Daemon, rig: Rig, tmp_path: Path) -> None:
    failing = spec_of(version=2, only_first=str(tmp_path / "first"))
    daemon.turn(default=spec_of(version=2), video=failing)
    rig.until(lambda: len(daemon.reloads.told) == 3)
    assert daemon.reloads.told[:2] == [1, 2]
    assert daemon.reloads.told[2].startswith("pool video: one of its children: ")
    assert daemon.reloads.serves == 1
    rig.until(lambda: daemon.generations() == {1} and daemon.is_whole())
    assert [up[-1][1]["version"] for up in (notes.up for notes in daemon.told.values())] == [1, 1]
    # The next one is under a number of its own, in both.
    daemon.turn(default=spec_of(version=3), video=spec_of(version=3))
    rig.until(lambda: daemon.generations() == {3} and daemon.is_whole())
