"""Code that starts threads while it is imported: its children are spawned, and all else stays the same."""

from __future__ import annotations

import gc
import json
import os
import signal
from pathlib import Path

import pytest

from tests.process.pool.conftest import Rig, spec_of


def test_threads_of_the_import_are_named_and_live_in_each_child(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    rig.boot(2, thread=True)
    assert "has started Python threads while it was imported (metrics-pusher)" in caplog.text
    assert "Start threads in worker_process_init instead" in caplog.text
    assert rig.pool.info()["spawns"]
    told = json.loads(rig.run("facts")[1])
    assert told["threads"] == ["MainThread", "metrics-pusher"]
    assert told["collector"] == [True, *gc.get_threshold()]
    # What was imported only to be looked at does nothing any more.
    rig.until(lambda: not rig.template_pids())


def test_native_threads_and_threads_that_have_ended_do_not_count(rig: Rig) -> None:
    rig.boot(1, native_thread=True, ended_thread=True)
    assert not rig.pool.info()["spawns"]
    assert len(os.listdir(f"/proc/{rig.template_pid()}/task")) == 2  # noqa: PTH208
    assert rig.run("echo", b"1")[1] == b"1"


def test_a_child_that_dies_is_spawned_anew(rig: Rig) -> None:
    rig.boot(2, thread=True)
    victim = rig.pool.children()[0]
    os.kill(victim.pid, signal.SIGKILL)
    rig.until(lambda: rig.pool.alive == 1)
    rig.until(lambda: rig.pool.alive == 2)
    assert victim.slot in {child.slot for child in rig.pool.children()}
    assert rig.notes.degraded == []


def test_a_reload_goes_from_spawned_to_forked_and_back_and_disturbs_no_job(rig: Rig, tmp_path: Path) -> None:
    rig.boot(2, thread=True)
    go = tmp_path / "go"
    job = rig.start_job("wait_for", path=str(go))
    rig.pool.reload(spec_of(version=2))
    rig.until(lambda: rig.notes.settled == [2])
    assert rig.run("echo")[0]["version"] == 2
    assert len(rig.template_pids()) == 1
    rig.pool.reload(spec_of(version=3, thread=True))
    rig.until(lambda: 3 in rig.notes.settled)
    assert rig.run("echo")[0]["version"] == 3
    assert job not in rig.notes.done
    go.touch()
    rig.until(lambda: rig.notes.complete == [3])
    assert job in rig.notes.done
    rig.until(lambda: not rig.template_pids())
    assert not rig.notes.lost


def test_an_import_that_fails_in_a_child_only_is_a_failed_start(rig: Rig, tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.touch()
    rig.boot(1, thread=True, imports_if=str(there))
    there.unlink()
    os.kill(rig.pool.children()[0].pid, signal.SIGKILL)
    rig.until(lambda: rig.notes.degraded)
    assert rig.notes.degraded[0] == "a start failed, the last: it could not start: ImportError: not any more"
    there.touch()
    rig.until(lambda: rig.pool.alive == 1)
    assert rig.notes.degraded[-1] is None


def test_handlers_import_and_init_have_a_limit_each(rig: Rig) -> None:
    limits: set[float] = set()

    def watch() -> bool:
        limits.update(child.due.phase for child in rig.pool._reconciler.crew if not child.was_ready)
        return rig.pool.alive == 1

    rig.begin(1, thread=True, slow_import=0.3, slow_start=0.3)
    rig.until(watch)
    assert len(limits) == 3
    rig.pool.reload(spec_of(thread=True, slow_start=60, boot_timeout=2.5))
    rig.until(lambda: rig.notes.failed)
    assert rig.notes.failed[0][1] == "its first child: not READY within 2.5s"
    assert any("in child_started" in line.text for line in rig.notes.lines)


@pytest.mark.parametrize("turns", range(0, 12, 3))
def test_a_pool_can_be_ended_while_it_spawns(rig: Rig, turns: int) -> None:
    rig.boot(1, thread=True)
    rig.pool.want(3)
    for _ in range(turns):
        rig.loop.run_once(0.01)
    rig.pool.close()
    rig.until(lambda: rig.notes.empty)
