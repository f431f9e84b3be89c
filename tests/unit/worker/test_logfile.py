"""A log file that is moved away, taken away or cannot be opened."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from workerd.errors import ConfigError
from workerd.worker.log import logfile
from workerd.worker.log.logfile import LogFile, open_log


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LogFile]:
    monkeypatch.setattr(logfile, "LOOK", 0.0)
    log = open_log(str(tmp_path / "log"))
    yield log
    log.close()


def say(log: LogFile, text: str) -> None:
    log.write(f"{text}\n")
    log.flush()


def test_lines_follow_the_name_when_the_file_is_moved(log: LogFile, tmp_path: Path) -> None:
    fd = log.fileno()
    say(log, "one")
    log.path.rename(tmp_path / "log.1")
    say(log, "two")
    assert (tmp_path / "log.1").read_text() == "one\n"
    assert log.path.read_text() == "two\n"
    assert log.fileno() == fd
    assert log.path.stat().st_mode & 0o777 == 0o640 & ~_umask()


def test_a_file_is_looked_for_once_a_second_at_most(
    log: LogFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logfile, "LOOK", 1000.0)
    log.path.rename(tmp_path / "log.1")
    say(log, "two")
    assert (tmp_path / "log.1").read_text() == "two\n"
    assert log.reopen() == ""
    say(log, "three")
    assert log.path.read_text() == "three\n"


def test_without_its_directory_the_old_file_is_kept_and_that_is_told_once(
    log: LogFile, tmp_path: Path
) -> None:
    away = tmp_path / "away"
    home = tmp_path / "home"
    home.mkdir()
    log.path = home / "log"
    log.reopen()
    home.rename(away)
    say(log, "one"), say(log, "two")
    text = (away / "log").read_text()
    assert text.count("cannot be opened anew (No such file or directory): the old file is kept") == 1
    assert text.count("one") == text.count("two") == 1
    away.rename(home)
    say(log, "three")
    assert (home / "log").read_text().endswith("three\n")


def test_a_pipe_is_kept(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    log = open_log(str(tmp_path / "pipe"))
    try:
        assert log.reopen() == ""
        say(log, "one")
        assert os.read(reader, 100) == b"one\n"
    finally:
        log.close()
        os.close(reader)


def test_a_file_that_cannot_be_opened_is_an_error_of_the_settings(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be opened: No such file or directory"):
        open_log(str(tmp_path / "missing" / "log"))


def test_lines_that_a_full_disk_refuses_are_counted_and_told_when_there_is_room(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "log")
    full = os.open("/dev/full", os.O_WRONLY)
    good = os.dup(log.fileno())
    try:
        os.dup2(full, log.fileno(), inheritable=False)
        logfile_looks_never = float("inf")
        log._looked = logfile_looks_never
        say(log, "lost"), say(log, "lost too")
        os.dup2(good, log.fileno(), inheritable=False)
        say(log, "there")
    finally:
        os.close(full), os.close(good)
        log.close()
    assert (tmp_path / "log").read_text() == ("there\n[2 log lines were dropped while the log took none]\n")


def _umask() -> int:
    before = os.umask(0)
    os.umask(before)
    return before
