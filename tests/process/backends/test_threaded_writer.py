"""The writer for backends whose calls may block, over a real directory that goes away and comes back."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process.backends.desk import Desk, meta
from workerd.backends import threaded


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(threaded, "FIRST_DELAY", 0.02)
    monkeypatch.setattr(threaded, "LONGEST_DELAY", 0.1)
    (tmp_path / "results").mkdir()
    return tmp_path / "results"


@pytest.fixture
def desk(directory: Path) -> Iterator[Desk]:
    desk = Desk(f"file://{directory}")
    yield desk
    desk.close()
    assert not any(thread.name == "results" for thread in threading.enumerate())


def state(directory: Path, task_id: str) -> str:
    return str(json.loads((directory / f"celery-task-meta-{task_id}").read_bytes())["status"])


def test_results_are_confirmed_in_their_order_once_they_are_files(desk: Desk, directory: Path) -> None:
    for number in range(50):
        desk.store(str(number), "SUCCESS")
    assert desk.writer.pending == 50
    desk.until(lambda: len(desk.told) == 50)
    assert desk.told == [f"{number} SUCCESS" for number in range(50)]
    assert (desk.writer.pending, desk.writer.problem) == (0, "")
    assert len(list(directory.iterdir())) == 50


def test_progress_gives_way_to_what_follows_it(desk: Desk, directory: Path) -> None:
    directory.rename(directory.with_name("away"))
    for _ in range(1000):
        desk.writer.store("a", "PROGRESS", meta("PROGRESS"), None)
    desk.store("a", "SUCCESS")
    assert desk.writer.pending <= 3
    desk.until(lambda: desk.writer.problem)
    directory.with_name("away").rename(directory)
    desk.until(lambda: desk.told)
    desk.until(lambda: not desk.writer.pending)
    assert state(directory, "a") == "SUCCESS"


def test_results_wait_for_a_disk_that_is_away_with_one_line_in_the_log(
    desk: Desk, directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    directory.rename(directory.with_name("away"))
    for number in range(20):
        desk.store(str(number), "FAILURE")
    desk.until(lambda: "No such file" in desk.writer.problem)
    for _ in range(30):
        desk.turn()
    assert (desk.told, desk.writer.pending) == ([], 20)
    directory.with_name("away").rename(directory)
    desk.until(lambda: len(desk.told) == 20)
    assert sorted(desk.told) == sorted(f"{number} FAILURE" for number in range(20))
    assert desk.writer.problem == ""
    levels = [record.levelname for record in caplog.records if record.name.startswith("workerd.backends")]
    assert levels == ["WARNING"]


def test_one_that_can_never_be_stored_holds_up_no_other_and_is_told(
    desk: Desk, directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    desk.store("../evil", "SUCCESS")
    desk.store("a", "SUCCESS")
    desk.until(lambda: len(desk.told) == 2)
    assert [file.name for file in directory.parent.rglob("*meta*")] == ["celery-task-meta-a"]
    assert "must be a file name" in caplog.text
