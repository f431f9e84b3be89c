from __future__ import annotations

import os
from pathlib import Path

import pytest

from workerd.control.lock import NameLock
from workerd.errors import TakenError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "main").mkdir()
    return tmp_path / "main" / "lock"


def test_the_second_daemon_of_a_name_is_told_who_holds_it(path: Path) -> None:
    first, second = NameLock(path), NameLock(path)
    first.acquire()
    try:
        with pytest.raises(TakenError, match=rf"'main' runs already \(pid {os.getpid()}\)"):
            second.acquire()
    finally:
        first.release()


def test_a_lock_that_its_holder_left_can_be_taken_whatever_pid_it_names(path: Path) -> None:
    path.write_text("1\n")  # a pid that lives and is not ours
    lock = NameLock(path)

    lock.acquire()

    assert path.read_text() == f"{os.getpid()}\n"
    lock.release()
    assert path.exists() and path.read_text() == ""


def test_a_lock_may_be_taken_and_released_twice(path: Path) -> None:
    lock = NameLock(path)
    lock.acquire()
    lock.acquire()
    with pytest.raises(TakenError):
        NameLock(path).acquire()

    lock.release()
    lock.release()
    other = NameLock(path)
    other.acquire()
    assert path.read_text() == f"{os.getpid()}\n"
    other.release()


def test_a_kept_lock_passes_to_the_code_after_an_exec(path: Path) -> None:
    old = NameLock(path)
    old.acquire()
    kept = os.dup(old.keep())
    assert os.get_inheritable(old.keep())

    new = NameLock(path)
    new.acquire(kept=kept)

    assert not os.get_inheritable(kept)
    new.release()
    old.release()


def test_only_a_held_lock_can_be_kept(path: Path) -> None:
    with pytest.raises(ValueError, match="not held"):
        NameLock(path).keep()
