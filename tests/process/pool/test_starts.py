"""Start-up: slow ones are let be, those that fail are tried again slowly and told."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.process.pool.conftest import Rig, spec_of
from workerd_pool.journal import Happened


def gone(rig: Rig) -> list[str]:
    return [entry.text for entry in rig.pool.journal() if entry.happened is Happened.GONE]


def test_a_slow_start_within_its_limit_costs_no_kill_at_any_time(rig: Rig) -> None:
    # As 10 s of 60 s.
    rig.boot(1, slow_start=0.5, slow_import=0.5, boot_timeout=3.0)
    rig.pool.want(3)
    rig.until(lambda: rig.pool.alive == 3)
    assert gone(rig) == []
    os.kill(rig.pool.children()[0].pid, signal.SIGKILL)
    rig.until(lambda: rig.pool.alive == 2)
    rig.until(lambda: rig.pool.alive == 3)
    rig.pool.reload()
    rig.until(lambda: rig.notes.complete)
    assert gone(rig) == ["killed by signal 9 (SIGKILL)"] + ["exit code 0"] * 3
    assert rig.notes.failed == []
    assert rig.notes.degraded == []


@pytest.mark.parametrize(
    ("option", "cause"),
    [
        ("fails_unless", "it could not start: ConnectionError: database is not there"),
        ("dies_unless", "exit code 9 before it was ready"),
    ],
)
def test_a_first_child_that_cannot_start_is_tried_again_and_told(
    rig: Rig, tmp_path: Path, option: str, cause: str, caplog: pytest.LogCaptureFixture
) -> None:
    there = tmp_path / "there"
    rig.begin(2, **{option: str(there)})
    rig.until(lambda: len(rig.notes.degraded) == 2)
    assert rig.notes.degraded == [
        f"a start failed, the last: {cause}",
        f"2 starts in a row failed, the last: {cause}",
    ]
    assert (rig.pool.generation, rig.notes.failed) == (0, [])
    assert rig.pool.info()["degraded"] == rig.notes.degraded[-1]
    assert ("Traceback" in caplog.text) == (option == "fails_unless")
    tries = [entry.at for entry in rig.pool.journal() if entry.happened is Happened.ASKED]
    assert len(tries) == 2 and tries[1] - tries[0] >= 1.0  # one at a time, though two are wanted
    there.touch()
    rig.until(lambda: rig.pool.alive == 2)
    assert rig.pool.generation == 1
    assert rig.notes.degraded[-1] is None


def test_a_first_template_that_is_killed_is_started_again(rig: Rig) -> None:
    rig.begin(1, slow_import=0.3)
    rig.until(lambda: rig.pool.info()["templates"])
    os.kill(rig.template_pid(), signal.SIGKILL)
    rig.until(lambda: rig.pool.alive == 1)
    assert rig.notes.failed == []
    assert rig.notes.degraded == [
        "a start failed, the last: while it imported the code: killed by signal 9 (SIGKILL)",
        None,
    ]


def test_a_reload_takes_over_from_a_first_generation_that_cannot_start(rig: Rig, tmp_path: Path) -> None:
    rig.begin(2, fails_unless=str(tmp_path / "never"))
    rig.until(lambda: len(rig.notes.degraded) == 2)
    assert rig.pool.reload(spec_of(version=2)) == 2
    rig.until(lambda: rig.pool.alive == 2)
    assert [failed[:2] for failed in rig.notes.failed] == [(1, "overtaken by generation 2")]
    assert rig.notes.degraded[-1] is None
    assert rig.run("echo")[0]["version"] == 2


def test_a_start_that_fails_later_is_tried_again_one_at_a_time(rig: Rig, tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.touch()
    rig.boot(2, fails_unless=str(there))
    there.unlink()
    before = len(rig.pool.journal())
    for pid in rig.pids():
        os.kill(pid, signal.SIGKILL)
    # Both are missed at once; after that they are tried one by one.
    rig.until(lambda: len([e for e in rig.pool.journal()[before:] if e.happened is Happened.ASKED]) == 3)
    assert rig.notes.degraded[-1] is not None
    there.touch()
    rig.until(lambda: rig.pool.alive == 2)
    assert rig.notes.degraded[-1] is None


def test_a_start_that_failed_and_is_not_missed_any_more_leaves_a_healthy_pool(rig: Rig) -> None:
    rig.boot(1, slow_start=0.5)
    (first,) = rig.pids()
    rig.pool.want(2)
    second = rig.until(lambda: rig.pids() - {0, first}).pop()  # 0 until it is forked
    os.kill(second, signal.SIGKILL)
    rig.until(lambda: rig.notes.degraded)
    rig.pool.want(1)
    assert rig.notes.degraded[1:] == [None]
    assert rig.pool.info()["degraded"] is None
