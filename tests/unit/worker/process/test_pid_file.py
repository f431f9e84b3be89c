"""A pid file is its holder's while that lives, and in nobody's way afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from workerd.errors import ConfigError, TakenError
from workerd.worker.process.pid_file import PidFile

HOLD = """
import sys
from pathlib import Path
from workerd.worker.process.pid_file import PidFile
PidFile(Path(sys.argv[1])).acquire()
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "daemon.pid"


def test_it_holds_our_pid_for_all_to_read_and_is_gone_afterwards(path: Path) -> None:
    old = os.umask(0o077)
    file = PidFile(path)
    file.acquire()
    os.umask(old)
    assert path.read_text() == f"{os.getpid()}\n"
    assert path.stat().st_mode & 0o777 == 0o644
    file.release()
    file.release()
    assert not path.exists()


@pytest.mark.parametrize("left", ["", "1\n", "4194304000000000000000000000000000000\n", "x"])
def test_what_a_crash_has_left_is_taken_over_whatever_it_says(path: Path, left: str) -> None:
    path.write_text(left)
    file = PidFile(path)
    file.acquire()
    assert path.read_text() == f"{os.getpid()}\n"
    file.release()


def test_one_that_another_process_holds_is_refused_with_its_pid_and_free_when_it_is_killed(
    path: Path,
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None and other.stdout.readline() == b"held\n"
        with pytest.raises(TakenError, match=rf"{path} .* \(pid {other.pid}\)"):
            PidFile(path).acquire()
        assert path.read_text() == f"{other.pid}\n"
        other.kill()
        other.wait()
    file = PidFile(path)
    file.acquire()
    file.release()


def test_a_file_that_somebody_has_put_in_its_place_is_left_alone(path: Path) -> None:
    file = PidFile(path)
    file.acquire()
    path.unlink()
    path.write_text("7\n")
    file.release()
    assert path.read_text() == "7\n"


def test_one_that_is_removed_just_before_the_lock_is_made_anew(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = PidFile(path)
    first.acquire()
    file, opened = PidFile(path), PidFile._open

    def open_and_lose_it(self: PidFile) -> int:
        monkeypatch.setattr(PidFile, "_open", opened)
        fd = opened(self)
        first.release()
        return fd

    monkeypatch.setattr(PidFile, "_open", open_and_lose_it)
    file.acquire()
    assert path.read_text() == f"{os.getpid()}\n"
    with pytest.raises(TakenError):
        PidFile(path).acquire()
    file.release()


def test_where_it_cannot_be_is_told(path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot write .*: No such file or directory; choose a pidfile"):
        PidFile(path / "x").acquire()
    path.symlink_to("/etc/passwd")
    with pytest.raises(ConfigError, match=r"cannot write"):
        PidFile(path).acquire()
