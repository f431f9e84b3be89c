"""Reload: generations, canary, slot by slot, and what broken code does."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.process.pool.conftest import Rig, spec_of
from workerd_pool import Spec
from workerd_pool.journal import Happened
from workerd_pool.plan import least_ready


def test_a_reload_brings_new_code_to_every_slot(rig: Rig) -> None:
    rig.boot(4)
    before = rig.pids()
    there: list[int] = []

    def watch() -> bool:
        there.append(len(rig.pool.children()))
        return bool(rig.notes.complete)

    assert rig.pool.reload(spec_of(version=2)) == 2
    rig.until(watch)
    assert max(there) == 5
    assert rig.notes.up[-1] == (2, {"version": 2, "padding": ""})
    assert (rig.notes.settled, rig.notes.complete) == ([2], [2])
    assert rig.pool.generation == 2
    assert not rig.pids() & before
    assert rig.run("echo")[0]["version"] == 2
    rig.until(lambda: len(rig.pool.info()["templates"]) == 1 and len(rig.pool.children()) == 4)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 7])
def test_the_journal_of_a_reload_shows_its_order_and_its_floor(rig: Rig, size: int) -> None:
    rig.boot(size)
    rig.pool.reload()
    rig.until(lambda: rig.notes.complete)
    entries = [entry for entry in rig.pool.journal() if entry.at >= when(rig, Happened.BEGUN, 2)]
    told = [(entry.happened, entry.generation) for entry in entries]
    order = [
        (Happened.TEMPLATE_STARTED, 2),
        (Happened.TEMPLATE_READY, 2),
        (Happened.ASKED, 2),
        (Happened.READY, 2),
        (Happened.PROMOTED, 2),
        (Happened.RETIRED, 1),
        (Happened.GONE, 1),
        (Happened.SETTLED, 2),
        (Happened.COMPLETE, 2),
    ]
    places = [told.index(step) for step in order]
    assert places == sorted(places)  # the first of each: nobody leaves before the canary is ready
    assert min(entry.ready for entry in entries) >= least_ready(size)
    assert told.count((Happened.RETIRED, 1)) == told.count((Happened.READY, 2)) == size


def when(rig: Rig, happened: Happened, generation: int) -> float:
    """The time of the journal's first such entry."""
    return next(e.at for e in rig.pool.journal() if (e.happened, e.generation) == (happened, generation))


def test_a_single_slot_is_never_without_a_ready_child(rig: Rig) -> None:
    rig.boot(1)
    ready: list[int] = []
    assert rig.pool.reload() == 2

    def watch() -> bool:
        ready.append(rig.pool.alive)
        return rig.pool.generation == 2 and len(rig.pool.children()) == 1

    rig.until(watch)
    assert min(ready) == 1


def test_a_busy_child_is_replaced_after_its_job(rig: Rig, tmp_path: Path) -> None:
    rig.boot(2)
    go = tmp_path / "go"
    jobs = [rig.start_job("wait_for", path=str(go)) for _ in range(2)]
    old = rig.pids()
    rig.pool.reload(spec_of(version=2))
    rig.until(lambda: rig.pool.generation == 2)
    # New work runs in new code meanwhile.
    assert rig.run("echo")[0]["version"] == 2
    assert not any(job in rig.notes.done for job in jobs)
    assert old <= rig.pids()
    assert rig.notes.settled == [2] and rig.notes.complete == []
    go.touch()
    rig.until(lambda: rig.notes.complete and rig.pool.alive == 2)
    assert {child.generation for child in rig.pool.children()} == {2}
    assert set(jobs) <= set(rig.notes.done)
    assert not rig.notes.lost and not rig.notes.returned


def test_old_code_runs_no_further_job_beside_long_ones(rig: Rig, tmp_path: Path) -> None:
    rig.boot(4)
    go, short = tmp_path / "go", tmp_path / "short"
    for _ in range(3):
        rig.start_job("wait_for", path=str(go))
    rig.start_job("wait_for", path=str(short))
    rig.pool.reload(spec_of(version=2))
    rig.until(lambda: rig.notes.settled)
    short.touch()
    rig.until(lambda: rig.pool.free == 2)
    jobs = [rig.submit("echo") for _ in range(2)]
    rig.until(lambda: set(jobs) <= set(rig.notes.done))
    assert {rig.notes.done[job][0]["version"] for job in jobs} == {2}
    assert sum(child.generation == 1 for child in rig.pool.children()) == 3
    go.touch()
    rig.until(lambda: rig.notes.complete)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"broken": True}, "ImportError: no module named nonsense"),
        ({"exits": True}, "SystemExit: 3"),
        ({"dies": True}, "exit code 11"),
        ({"bad_child": True}, "it could not start: RuntimeError: no database"),
    ],
)
def test_a_reload_of_broken_code_changes_nothing(rig: Rig, options: dict[str, Any], reason: str) -> None:
    rig.boot(2)
    before = rig.pids()
    generation = rig.pool.reload(spec_of(**options))
    rig.until(lambda: rig.notes.failed)
    failed, told, traceback = rig.notes.failed[0]
    assert failed == generation == 2
    assert reason in told
    assert ("Traceback" in traceback) == (reason != "exit code 11")
    rig.until(lambda: rig.pids() == before and len(rig.pool.info()["templates"]) == 1)
    assert rig.pool.generation == 1
    assert rig.run("echo")[0]["version"] == 1
    assert rig.notes.degraded == []
    # The next one repeats the recipe that works.
    assert rig.pool.reload() == 3
    rig.until(lambda: rig.pool.generation == 3)


@pytest.mark.parametrize("options", [{"broken": True}, {"exits": True}])
def test_an_entry_that_cannot_be_imported_at_the_start_is_told_and_tried_once(
    rig: Rig, options: dict[str, Any]
) -> None:
    rig.begin(2, **options)
    rig.until(lambda: rig.notes.failed)
    rig.until(lambda: not rig.pool.children() and not rig.pool.info()["templates"])
    assert rig.pool.generation == 0
    rig.pool.reload(spec_of())
    rig.until(lambda: rig.pool.alive == 2)
    assert len(rig.notes.failed) == 1
    assert rig.notes.degraded == []


def test_a_missing_entry_is_told(rig: Rig) -> None:
    rig.boot(1)
    rig.pool.reload(Spec("tests.process.pool.app:nothing", path=spec_of().path))
    rig.until(lambda: rig.notes.failed)
    assert "has no attribute 'nothing'" in rig.notes.failed[0][1]


def test_an_entry_that_knows_why_it_cannot_load_is_quoted(rig: Rig) -> None:
    rig.boot(1)
    rig.pool.reload(spec_of(refuses="the app is broken; mend it"))
    rig.until(lambda: rig.notes.failed)
    assert rig.notes.failed == [(2, "the app is broken; mend it", "app.py, line 3")]


def test_the_last_of_several_reloads_wins(rig: Rig) -> None:
    rig.boot(2)
    for version in (2, 3, 4):
        rig.pool.reload(spec_of(version=version))
        rig.loop.run_once()
    rig.until(lambda: {child.generation for child in rig.pool.children()} == {4} and rig.pool.alive == 2)
    assert rig.run("echo")[0]["version"] == 4
    assert [(number, reason) for number, reason, _ in rig.notes.failed] == [
        (2, "overtaken by generation 3"),
        (3, "overtaken by generation 4"),
    ]


def test_the_size_may_change_during_a_reload(rig: Rig) -> None:
    rig.boot(3)
    rig.pool.reload(spec_of(version=2))
    rig.loop.run_once()
    rig.pool.want(5)
    rig.until(lambda: rig.pool.generation == 2)
    rig.pool.want(1)
    rig.until(lambda: [child.generation for child in rig.pool.children()] == [2] and rig.pool.alive == 1)


def test_a_reload_survives_the_death_of_its_template(rig: Rig) -> None:
    rig.boot(3)
    rig.pool.reload(spec_of(version=2, slow_import=30))
    rig.until(lambda: len(rig.pool.info()["templates"]) == 2)
    new = next(t["pid"] for t in rig.pool.info()["templates"] if t["generation"] == 2)
    os.kill(new, signal.SIGKILL)
    rig.until(lambda: rig.notes.failed)
    assert rig.notes.failed == [(2, "while it imported the code: killed by signal 9 (SIGKILL)", "")]
    assert rig.run("echo")[0]["version"] == 1


def test_a_template_that_is_started_anew_tells_what_its_code_has_become(
    rig: Rig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (version := tmp_path / "version").write_text("1")
    rig.boot(1, version_in=str(version))
    for number in (1, 2):
        version.write_text(str(number))
        before = rig.template_pid()
        os.kill(before, signal.SIGKILL)
        rig.until(lambda before=before: rig.template_pids() not in ([], [before]))  # type: ignore[misc]
        rig.until(lambda: rig.pool.info()["templates"][0]["state"] == "READY")
    assert [(generation, table["version"]) for generation, table in rig.notes.up] == [(1, 1), (1, 2)]
    assert "its code has changed" in caplog.text


def test_a_reload_under_load_loses_and_repeats_nothing(rig: Rig) -> None:
    rig.boot(3)
    sent: list[int] = []

    def feed() -> None:
        while rig.pool.free and len(sent) < 3000:
            sent.append(rig.submit("echo", b"x"))

    rig.notes.when_free = feed
    feed()
    for share in (500, 1500, 2500):
        rig.until(lambda share=share: len(rig.notes.done) > share)  # type: ignore[misc]
        rig.pool.reload()
    rig.until(lambda: len(rig.notes.done) == 3000, within=60)
    assert not rig.notes.lost
    rig.until(lambda: rig.pool.generation == 4)


def test_a_template_that_does_not_finish_its_import_is_dumped_and_killed(rig: Rig) -> None:
    rig.boot(1)
    rig.pool.reload(spec_of(slow_import=60, boot_timeout=2.5))
    rig.until(lambda: rig.notes.failed)
    assert rig.notes.failed[0][1] == "while it imported the code: not READY within 2.5s"
    assert any("in load" in line.text for line in rig.notes.lines)  # faulthandler's stack of the import


def test_a_child_that_does_not_finish_its_start_is_dumped_and_killed(rig: Rig) -> None:
    rig.boot(1)
    rig.pool.reload(spec_of(slow_start=60, boot_timeout=2.5))
    rig.until(lambda: rig.notes.failed)
    assert rig.notes.failed[0][1] == "its first child: not READY within 2.5s"
    assert any("in child_started" in line.text for line in rig.notes.lines)
