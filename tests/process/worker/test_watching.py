"""The program that watches files: what it tells, and how it lives and ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.eventually import eventually
from workerd.clock import SystemClock
from workerd.worker.loop.hub import Hub
from workerd.worker.watching import Watcher
from workerd_pool import Reaper


class Rig:
    """A watcher in a hub of its own."""

    def __init__(self) -> None:
        self.hub = Hub()
        self.changed: list[list[str]] = []
        self.reaper = Reaper(self.hub)
        self.watcher = Watcher(self.hub, self.reaper, SystemClock(), self.changed.append)

    def turn(self) -> None:
        alarm = self.hub.call_later(0.05, lambda: None)
        self.hub.turn()
        alarm.cancel()

    def until(self, *files: Path, write: bool = True) -> None:
        """Change ``files`` until every one has been told."""
        number = 0

        def told() -> bool:
            nonlocal number
            number += 1
            for file in files if write else ():
                file.write_text(f"n = {number}\n")
            self.turn()
            return {str(file) for file in files} <= self.told()

        eventually(told, every=0.0)

    def told(self) -> set[str]:
        return {path for paths in self.changed for path in paths}

    def end(self) -> None:
        self.watcher.stop()
        self.watcher.stop()
        self.reaper.close()
        self.hub.dispose()


@pytest.fixture
def rig() -> Iterator[Rig]:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    rig = Rig()
    yield rig
    rig.end()
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def test_a_package_is_watched_with_all_below_and_a_module_alone(rig: Rig, tmp_path: Path) -> None:
    package, module = tmp_path / "proj", tmp_path / "single.py"
    (package / "deep").mkdir(parents=True)
    rig.watcher.follow([str(package), str(module)])
    rig.watcher.start()
    (tmp_path / "other.py").touch(), (package / ".deep.py.swp").touch()
    rig.until(package / "deep" / "tasks.py", module)
    # An editor that saves: a new file under the name of the old one.
    rig.changed.clear()
    (tmp_path / "other.py").touch(), (package / "4913").touch()
    (tmp_path / "saved").write_text("n = 0\n")
    (tmp_path / "saved").rename(module)
    rig.until(module, write=False)
    assert rig.told() <= {str(module), str(package / "deep" / "tasks.py")}


def test_paths_may_come_while_it_watches(rig: Rig, tmp_path: Path) -> None:
    rig.watcher.start()
    rig.watcher.follow([])
    (tmp_path / "a").mkdir()
    rig.watcher.follow([str(tmp_path / "a"), str(tmp_path / "later")])
    rig.until(tmp_path / "a" / "x.py")
    (tmp_path / "later").mkdir()
    rig.until(tmp_path / "later" / "y.py")
    assert rig.watcher.paths == [str(tmp_path / "a"), str(tmp_path / "later")]


def test_one_that_is_killed_is_started_again_and_watches_the_same(rig: Rig, tmp_path: Path) -> None:
    rig.watcher.follow([str(tmp_path)])
    rig.watcher.start()
    first = rig.watcher.pid
    os.kill(first, signal.SIGKILL)
    eventually(lambda: rig.turn() or rig.watcher.pid not in (0, first))
    assert rig.watcher.restarts == 1
    rig.until(tmp_path / "x.py")


def test_why_it_gave_up_is_told_and_the_next_try_comes_later(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "watchfiles.py").write_text("raise ImportError('no module named watchfiles')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    rig.watcher.follow([str(tmp_path)])
    rig.watcher.start()
    eventually(lambda: rig.turn() or rig.watcher.restarts == 3)
    assert f"The file watcher {tmp_path}: no module named watchfiles; starting again in 0.0 s" in caplog.text


def test_it_dies_with_its_daemon(tmp_path: Path) -> None:
    program = (
        "import sys\nfrom tests.process.worker.test_watching import Rig\n"
        f"rig = Rig()\nrig.watcher.follow([{str(tmp_path)!r}])\nrig.watcher.start()\n"
        "print(rig.watcher.pid, flush=True)\nwhile True: rig.turn()\n"
    )
    root = Path(__file__).parents[3]
    argv = [sys.executable, "-c", program]
    with subprocess.Popen(argv, cwd=root, stdout=subprocess.PIPE, text=True) as daemon:
        assert daemon.stdout is not None
        watching = psutil.Process(int(daemon.stdout.readline()))
        daemon.kill()
        eventually(lambda: not watching.is_running() or watching.status() == psutil.STATUS_ZOMBIE)
