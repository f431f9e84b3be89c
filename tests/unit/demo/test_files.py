from __future__ import annotations

import time
from pathlib import Path

import pytest

from workerd.demo.files import Totals, files_under
from workerd.demo.filestats import contents
from workerd.errors import ConfigError

DATA = b"one\ntwo\n"


def test_the_default_is_pythons_own_library() -> None:
    root, found = files_under(None)

    assert str(root / "os.py") in found
    assert len(found) > 1000
    assert not [path for path in found if "site-packages" in path]


def test_every_regular_file_is_taken_in_order(tmp_path: Path) -> None:
    (tmp_path / "b" / "site-packages").mkdir(parents=True)
    for name in ("b/2", "b/1", "a", "b/site-packages/x"):
        (tmp_path / name).write_bytes(DATA)
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")

    _, found = files_under(tmp_path)

    assert [str(Path(path).relative_to(tmp_path)) for path in found] == [
        "a",
        "b/1",
        "b/2",
        "b/site-packages/x",
    ]


@pytest.mark.parametrize("name", ["nowhere", "empty"])
def test_a_directory_without_files_is_an_error(name: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    with pytest.raises(ConfigError):
        files_under(tmp_path / name)


def test_a_task_counts_what_a_direct_computation_counts(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(DATA)
    found = {"path": str(path), "retries": 2, **contents(str(path))}
    totals = Totals()

    totals.add(found)
    totals.check(found, time.time())

    assert (totals.files, totals.size, totals.lines, totals.retries) == (1, 8, 2, 2)
    assert totals.wrong == []


def test_a_wrong_result_is_named_unless_its_file_has_changed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(DATA)
    wrong = {"path": str(path), "retries": 0, "sha256": "0", "bytes": 8, "lines": 2}
    totals = Totals()

    totals.check(wrong, began=0.0)
    assert totals.wrong == []
    totals.check(wrong, began=time.time() + 60.0)
    assert totals.wrong == [str(path)]


def test_an_unreadable_file_is_reported_by_both_sides(tmp_path: Path) -> None:
    found = {"path": str(tmp_path / "gone"), "retries": 0, "error": "No such file or directory"}
    totals = Totals()

    totals.add(found)
    totals.check(found, time.time())

    assert (totals.files, totals.unreadable, totals.wrong) == (1, 1, [])
