"""start, want up and down, close, terminate."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from tests.process.pool.conftest import Rig, both, spec_of
from workerd_pool import Pool, PoolError


def test_want_grows_and_shrinks_an_idle_pool(rig: Rig) -> None:
    rig.boot(1)
    rig.pool.want(4, "more")
    rig.until(lambda: rig.pool.alive == 4)
    rig.pool.want(2, "less")
    rig.until(lambda: len(rig.pool.children()) == 2)
    assert (rig.pool.alive, rig.pool.wanted, rig.pool.reason) == (2, 2, "less")
    assert {child.slot for child in rig.pool.children()} == {1, 2}
    rig.pool.want(0)
    rig.until(lambda: not rig.pool.children())
    rig.pool.want(1)
    rig.until(lambda: rig.pool.alive == 1)
    with pytest.raises(ValueError, match="cannot have -1"):
        rig.pool.want(-1)


@both
def test_a_busy_child_that_is_too_much_finishes_its_job(rig: Rig, tmp_path: Path) -> None:
    rig.boot(2)
    go = tmp_path / "go"
    jobs = [rig.start_job("wait_for", path=str(go)) for _ in range(2)]
    rig.pool.want(0)
    rig.until(lambda: [child.state for child in rig.pool.children()] == ["DRAINING", "DRAINING"])
    go.touch()
    rig.until(lambda: not rig.pool.children())
    assert set(rig.notes.done) == set(jobs)
    assert not rig.notes.lost


def test_a_pool_that_is_wanted_empty_still_comes_up(rig: Rig) -> None:
    rig.pool.start()
    rig.until(lambda: rig.notes.up)
    assert rig.pool.generation == 1
    assert rig.pool.free == 0


def test_a_pool_starts_once(rig: Rig) -> None:
    rig.boot(1)
    with pytest.raises(PoolError, match="started before"):
        rig.pool.start()
    rig.pool.close()
    with pytest.raises(PoolError, match="closed"):
        rig.pool.start()


@both
def test_close_lets_running_jobs_end_and_returns_the_others(rig: Rig, tmp_path: Path) -> None:
    rig.boot(1)
    rig.quicken()
    go = tmp_path / "go"
    running = rig.start_job("wait_for", path=str(go))
    waiting = [rig.submit("echo") for _ in range(rig.pool.free)]
    rig.pool.close()
    rig.pool.close()
    rig.loop.run_once()
    assert waiting and not rig.notes.empty
    go.touch()
    rig.until(lambda: rig.notes.empty)
    assert running in rig.notes.done
    assert sorted(rig.notes.returned) == waiting
    assert rig.pool.children() == [] and rig.pool.info()["templates"] == []
    rig.pool.close()
    rig.pool.terminate()
    rig.loop.run_once()
    assert rig.notes.empty == 1


@both
def test_terminate_interrupts_a_close(rig: Rig) -> None:
    rig.boot(2)
    job = rig.start_job("stubborn")
    rig.pool.close()
    rig.loop.run_once()
    rig.pool.terminate()
    rig.until(lambda: rig.notes.empty)
    assert rig.notes.lost[job].signal == "SIGKILL"
    assert rig.notes.lost[job].words == "the pool was terminated"


@pytest.mark.parametrize("turns", [0, 1, 2, 3, 5, 8, 13, 21])
@pytest.mark.parametrize("verb", ["close", "terminate"])
def test_a_pool_can_be_ended_while_it_boots(rig: Rig, verb: str, turns: int) -> None:
    rig.pool.want(3)
    rig.pool.start()
    for _ in range(turns):
        rig.loop.run_once(0.01)
    getattr(rig.pool, verb)()
    rig.until(lambda: rig.notes.empty)


def test_a_pool_that_never_started_can_be_closed(rig: Rig) -> None:
    rig.pool.close()
    rig.until(lambda: rig.notes.empty)


def test_want_before_start_counts(rig: Rig) -> None:
    rig.pool = Pool(rig.loop, spec_of(), rig.notes)
    rig.pool.want(2)
    rig.pool.start()
    rig.until(lambda: rig.pool.alive == 2)


def test_the_host_may_close_from_any_callback(rig: Rig) -> None:
    rig.notes.when_free = rig.pool.close
    rig.pool.start()
    rig.pool.want(2)
    rig.until(lambda: rig.notes.empty)


def test_want_may_flap(rig: Rig) -> None:
    rig.boot(1)
    for n in (4, 0, 3, 1, 5, 2) * 3:
        rig.pool.want(n)
        rig.loop.run_once(0.01)
    rig.until(lambda: rig.pool.alive == 2 and len(rig.pool.children()) == 2)
    assert rig.notes.degraded == []


def test_a_child_that_is_stopped_in_the_middle_of_a_queue_keeps_nobody_awake(rig: Rig) -> None:
    rig.boot(2)
    rig.quicken()
    pids = rig.pids()
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    for _ in range(rig.pool.free):
        rig.submit("echo")
    # What waits is watched; then its children leave in every way there is.
    rig.pool.want(1)
    rig.loop.run_once()
    rings: list[float] = []
    alarm = rig.pool._reconciler._alarm
    ring = alarm._ring
    alarm._ring = lambda now: (rings.append(now), ring(now))[1]  # type: ignore[func-returns-value]
    turn_for(rig, 1.0)
    assert len(rings) < 20
    rig.pool.terminate()
    rig.until(lambda: rig.notes.empty)
    assert len(rings) < 40


def turn_for(rig: Rig, seconds: float) -> None:
    end = time.monotonic() + seconds
    rig.until(lambda: time.monotonic() > end)
