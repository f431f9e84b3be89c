"""Results as files: what is in them, who may read them, and when they end."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from workerd.backends import BackendOptions, UnstorableError, open_backend
from workerd.backends.file import FileBackend
from workerd.errors import ConfigError
from workerd.protocol import exceptions


def backend(directory: Path, **options: Any) -> FileBackend:
    return FileBackend(f"file://{directory}", BackendOptions(**options))


def store(results: FileBackend, task_id: str, state: str, result: Any = None) -> None:
    results.store(task_id, state, results.encode({"status": state, "result": result, "task_id": task_id}))


def test_a_result_is_a_file_of_its_name_and_nothing_else_stays(tmp_path: Path) -> None:
    results = backend(tmp_path)
    assert results.get_meta("a")["status"] == "PENDING"
    store(results, "a", "STARTED")
    store(results, "a", "SUCCESS", [1])
    assert [file.name for file in tmp_path.iterdir()] == ["celery-task-meta-a"]
    assert json.loads((tmp_path / "celery-task-meta-a").read_bytes())["result"] == [1]
    assert results.wait_for("a", timeout=0)["result"] == [1]
    results.forget("a")
    results.forget("a")
    assert list(tmp_path.iterdir()) == []


def test_a_success_stays(tmp_path: Path) -> None:
    results = backend(tmp_path)
    store(results, "a", "SUCCESS")
    store(results, "a", "RETRY")
    assert results.get_meta("a")["status"] == "SUCCESS"


def test_many_are_waited_for_and_those_that_do_not_come_are_named(tmp_path: Path) -> None:
    results = backend(tmp_path)
    for name in "abc":
        store(results, name, "SUCCESS", name)
    seen = []
    with pytest.raises(exceptions.TimeoutError, match=r"2 tasks, d among them, have not ended within 0.05 s"):
        for task_id, meta in results.wait_for_many("abcde", timeout=0.05):
            seen.append((task_id, meta["result"]))
    assert sorted(seen) == [("a", "a"), ("b", "b"), ("c", "c")]


@pytest.mark.parametrize("task_id", ["../../etc/passwd", "a/b", "a\0b", "x" * 300])
def test_an_id_that_is_no_file_name_is_never_one(tmp_path: Path, task_id: str) -> None:
    (tmp_path / "in").mkdir()
    with pytest.raises((UnstorableError, OSError)):
        store(backend(tmp_path / "in"), task_id, "SUCCESS")
    assert [file.name for file in tmp_path.rglob("*")] == ["in"]


def test_what_has_outlived_its_time_goes_and_nothing_of_others(tmp_path: Path) -> None:
    results = backend(tmp_path, expires=60.0)
    names = [
        "celery-task-meta-old",
        "celery-taskset-meta-old",
        ".workerd-dead",
        "notes",
        "celery-task-meta-new",
    ]
    for name in names:
        (tmp_path / name).write_text("{}")
    for name in names[:4]:
        os.utime(tmp_path / name, (time.time() - 7200,) * 2)
    results.clean_up()
    assert {file.name for file in tmp_path.iterdir()} == {"notes", "celery-task-meta-new"}
    backend(tmp_path, expires=None).clean_up()
    assert (tmp_path / "celery-task-meta-new").exists()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("file://", "names no directory"),
        ("file://relative", "names no directory"),
        ("file:///no/such/place", "mkdir -p /no/such/place"),
    ],
)
def test_a_url_without_a_directory_is_told(url: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        open_backend(url)


def test_a_local_host_may_be_named_and_a_prefix_be_set(tmp_path: Path) -> None:
    (tmp_path / "a b").mkdir()
    results = FileBackend(f"file://localhost{tmp_path}/a%20b", BackendOptions(key_prefix="team"))
    store(results, "a", "SUCCESS")
    assert [file.name for file in (tmp_path / "a b").iterdir()] == ["team_celery-task-meta-a"]
    with pytest.raises(ConfigError, match="slash"):
        backend(tmp_path, key_prefix="a/b")
