"""A reload that fails after its canary goes back, and templates may be killed at any moment of one."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.process.pool.conftest import Rig, spec_of
from workerd_pool.journal import Entry, Happened
from workerd_pool.plan import least_ready


def since(rig: Rig, happened: Happened, generation: int) -> list[Entry]:
    """The journal from the first such entry on."""
    entries = rig.pool.journal()
    first = next(n for n, e in enumerate(entries) if (e.happened, e.generation) == (happened, generation))
    return entries[first:]


@pytest.mark.parametrize("size", [1, 4])
def test_a_child_that_fails_after_the_canary_brings_the_old_code_back(
    rig: Rig, tmp_path: Path, size: int
) -> None:
    rig.boot(size + 1)
    go = tmp_path / "go"
    job = rig.start_job("wait_for", path=str(go))
    rig.pool.reload(spec_of(version=2, only_first=str(tmp_path / "first")))
    rig.until(lambda: rig.notes.failed)
    number, reason, traceback = rig.notes.failed[0]
    assert (number, rig.pool.generation) == (2, 1)
    assert reason.startswith("one of its children: it could not start: FileExistsError:")
    assert "Traceback" in traceback and "child_started" in traceback
    assert [(generation, table["version"]) for generation, table in rig.notes.up] == [(1, 1), (2, 2), (1, 1)]
    rig.until(lambda: {c.generation for c in rig.pool.children()} == {1} and rig.pool.alive == size + 1)
    assert min(e.ready for e in since(rig, Happened.BEGUN, 2)) >= least_ready(size + 1)
    assert rig.run("echo")[0]["version"] == 1
    assert job not in rig.notes.done
    go.touch()
    rig.until(lambda: job in rig.notes.done)
    rig.until(lambda: len(rig.template_pids()) == 1)
    # What it went back to is what the next reload repeats.
    rig.pool.reload()
    rig.until(lambda: rig.notes.complete == [1, 3])
    assert rig.notes.up[-1][1]["version"] == 1
    assert not rig.notes.lost


def test_a_failure_after_everything_is_replaced_is_a_crash_and_no_failed_reload(
    rig: Rig, tmp_path: Path
) -> None:
    rig.boot(1)
    rig.pool.reload(spec_of(version=2, only_first=str(tmp_path / "first")))
    rig.until(lambda: rig.notes.complete == [2])
    rig.pool.want(2)
    rig.until(lambda: rig.notes.degraded)
    assert (rig.pool.generation, rig.notes.failed) == (2, [])
    assert rig.notes.degraded[0] is not None and "a start failed" in rig.notes.degraded[0]


def test_without_the_old_template_there_is_no_way_back(rig: Rig, tmp_path: Path) -> None:
    rig.boot(2)
    go = tmp_path / "go"
    jobs = [rig.start_job("wait_for", path=str(go)) for _ in range(2)]
    old = rig.template_pid()
    rig.pool.reload(spec_of(version=2, only_first=str(tmp_path / "first")))
    rig.until(lambda: rig.notes.settled == [2])
    os.kill(old, signal.SIGKILL)
    rig.until(lambda: old not in rig.template_pids())
    go.touch()
    rig.until(lambda: rig.notes.degraded)
    assert (rig.pool.generation, rig.notes.failed) == (2, [])
    assert rig.run("echo")[0]["version"] == 2
    assert set(jobs) <= set(rig.notes.done)


MOMENTS = [
    (Happened.BEGUN, 2),
    (Happened.TEMPLATE_STARTED, 2),
    (Happened.TEMPLATE_READY, 2),
    (Happened.ASKED, 2),
    (Happened.PROMOTED, 2),
    (Happened.RETIRED, 1),
    (Happened.GONE, 1),
    (Happened.SETTLED, 2),
]


@pytest.mark.parametrize("which", ["old", "new", "both"])
@pytest.mark.parametrize(("happened", "generation"), MOMENTS, ids=str)
def test_templates_may_be_killed_at_any_moment_of_a_reload(
    rig: Rig, tmp_path: Path, happened: Happened, generation: int, which: str
) -> None:
    rig.boot(3)
    go = tmp_path / "go"
    jobs = [rig.start_job("wait_for", path=str(go)) for _ in range(2)]
    rig.pool.reload(spec_of(version=2))

    def reached() -> bool:
        return (happened, generation) in [(e.happened, e.generation) for e in rig.pool.journal()]

    rig.until(reached)
    wanted = {"old": (1,), "new": (2,), "both": (1, 2)}[which]
    for template in rig.pool.info()["templates"]:
        if template["generation"] in wanted:
            os.kill(template["pid"], signal.SIGKILL)
    rig.until(lambda: rig.notes.settled or rig.notes.failed)
    assert not set(jobs) & set(rig.notes.done) and not rig.notes.lost
    go.touch()
    rig.until(lambda: set(jobs) <= set(rig.notes.done))
    current = rig.pool.generation
    assert current == (1 if rig.notes.failed else 2)
    rig.until(lambda: [c.generation for c in rig.pool.children()] == [current] * 3 and rig.pool.alive == 3)
    assert rig.run("echo")[0]["version"] == current
