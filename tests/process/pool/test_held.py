"""A generation that its host holds: it serves at a word, and can be given up until another."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.process.pool.conftest import Rig, spec_of


def hold(rig: Rig, generation: int = 2) -> None:
    """Reload to version 2 of the code, up to the moment in which it waits."""
    rig.pool.reload(spec_of(version=2), hold=True)
    rig.until(lambda: rig.notes.passed == [generation])


def versions(rig: Rig, jobs: int = 6) -> set[int]:
    """The code that runs jobs now, also those that come when every old child is busy."""
    return {rig.run("echo")[0]["version"] for _ in range(jobs)}


def ups(rig: Rig) -> list[int]:
    return [generation for generation, _ in rig.notes.up]


def test_a_held_generation_serves_when_its_host_says_so(rig: Rig) -> None:
    rig.boot(2)
    hold(rig)
    assert (rig.pool.generation, ups(rig), versions(rig)) == (1, [1], {1})
    assert sorted(child.generation for child in rig.pool.children()) == [1, 1, 2]

    rig.pool.promote(2)
    rig.until(lambda: rig.notes.complete == [2])
    assert (rig.pool.generation, ups(rig), versions(rig)) == (2, [1, 2], {2})


def test_no_job_runs_with_code_that_may_be_given_up(rig: Rig, tmp_path: Path) -> None:
    rig.boot(1)
    hold(rig)
    gate = tmp_path / "gate"
    job = rig.start_job("wait_for", path=str(gate))
    # The only child is busy, and the one of the new code is not a second slot.
    assert rig.pool.free == 0
    rig.pool.promote(2)
    rig.until(lambda: rig.pool.free > 0)
    assert versions(rig) == {2}
    gate.touch()
    rig.until(lambda: job in rig.notes.done)


def test_one_that_is_abandoned_on_trial_leaves_nothing(rig: Rig) -> None:
    rig.boot(2)
    before = rig.pids()
    hold(rig)
    assert rig.pool.abandon(2)
    rig.until(lambda: rig.pids() == before and len(rig.template_pids()) == 1)
    assert (rig.pool.generation, ups(rig), rig.notes.failed) == (1, [1], [])
    assert not rig.pool.abandon(2) and not rig.pool.abandon(1)
    # What it goes on with is what the next reload repeats.
    rig.pool.reload()
    rig.until(lambda: rig.notes.complete == [3])
    assert versions(rig) == {1}


def test_one_that_serves_can_be_abandoned_until_it_is_committed(rig: Rig) -> None:
    rig.boot(2)
    hold(rig)
    rig.pool.promote(2)
    rig.until(lambda: rig.notes.complete == [2])
    assert len(rig.template_pids()) == 2

    assert rig.pool.abandon(2)
    assert (rig.pool.generation, ups(rig)) == (1, [1, 2, 1])
    rig.until(lambda: {child.generation for child in rig.pool.children()} == {1} and rig.pool.alive == 2)
    assert versions(rig) == {1}

    rig.pool.reload(spec_of(version=3), hold=True)
    rig.until(lambda: rig.notes.passed == [2, 3])
    rig.pool.promote(3)
    rig.until(lambda: rig.notes.complete == [2, 1, 3])
    rig.pool.commit(3)
    rig.until(lambda: len(rig.template_pids()) == 1)
    assert not rig.pool.abandon(3)
    assert versions(rig) == {3}
    assert not rig.notes.lost


def test_the_first_generation_can_be_held_too(rig: Rig) -> None:
    rig.pool.start(hold=True)
    rig.pool.want(2)
    rig.until(lambda: rig.notes.passed == [1])
    assert (rig.pool.generation, rig.pool.free, len(rig.pool.children())) == (0, 0, 1)
    rig.pool.promote(1)
    rig.until(lambda: rig.pool.alive == 2)
    assert ups(rig) == [1]


def test_a_death_while_it_waits_is_its_failure(rig: Rig) -> None:
    rig.boot(1)
    hold(rig)
    [canary] = [child.pid for child in rig.pool.children() if child.generation == 2]
    os.kill(canary, signal.SIGKILL)
    rig.until(lambda: rig.notes.failed)
    assert rig.notes.failed[0][0] == 2
    rig.pool.promote(2)
    rig.until(lambda: len(rig.template_pids()) == 1)
    assert (rig.pool.generation, ups(rig), versions(rig)) == (1, [1], {1})


@pytest.mark.parametrize("moment", ["trial", "serving"])
def test_a_pool_that_closes_while_it_holds_one_ends(rig: Rig, moment: str) -> None:
    rig.boot(2)
    hold(rig)
    if moment == "serving":
        rig.pool.promote(2)
        rig.until(lambda: rig.notes.complete == [2])
    rig.pool.close()
    rig.until(lambda: rig.notes.empty)
