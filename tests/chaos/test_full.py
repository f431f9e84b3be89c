"""No room on the disk of state and log, or in the table of descriptors: the daemon goes on, and says so."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.bed import Bed
from tests.support.daemon import Workerd
from tests.support.eventually import eventually

ROOM = 8 * 1024 * 1024
"""Bytes of the disk: a daemon's state and log at their beginning are some hundred kilobytes."""


class Tmpfs:
    """A small disk at ``path``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "none", path], check=True)

    def fill(self, _: int) -> None:
        with contextlib.suppress(OSError), (self.path / "filler").open("wb", buffering=0) as filler:
            while filler.write(b"\0" * 4096):
                pass

    def empty(self, _: int) -> None:
        (self.path / "filler").unlink()

    def close(self) -> None:
        subprocess.run(["umount", "-l", self.path], check=True)


class FileSize:
    """For whoever may not mount: no file of the daemon may become larger."""

    def __init__(self, path: Path) -> None:
        path.mkdir()

    def fill(self, pid: int) -> None:
        self._before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, self._before[1]))

    def empty(self, pid: int) -> None:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, self._before)

    def close(self) -> None:
        pass


@contextmanager
def disk(path: Path) -> Iterator[Tmpfs | FileSize]:
    made = Tmpfs(path) if os.geteuid() == 0 else FileSize(path)
    try:
        yield made
    finally:
        made.close()


def at_a_long_task(status: dict[str, Any]) -> int | None:
    """The process id of a child."""
    children = status["pools"][0]["children"]
    return next((each["pid"] for each in children if each["job_id"] is not None and each["age"] > 0.1), None)


def test_a_full_disk_of_state_and_log_costs_no_task(redis_bed: Bed, tmp_path: Path) -> None:
    bed = redis_bed
    bed.home = redis_bed.home / "disk"
    ledger = tmp_path / "ledger"
    with disk(bed.home) as small:
        node = bed.add(ledger=ledger)
        daemon = node.daemon
        bed.send(*([0.0] * 20), 0.5)
        bed.finished()
        small.fill(daemon.pid)
        bed.send(*([0.0] * 200), 2.0, 2.0)
        os.kill(
            eventually(lambda: at_a_long_task(node.status)), signal.SIGKILL
        )  # which cannot be written down
        node.proxy.cut()
        bed.recovers()
        bed.finished()
        assert node.status["statedb"], "the state database cannot be written, and status does not say so"
        small.empty(daemon.pid)
        bed.send(*([0.0] * 20))
        eventually(lambda: node.status["statedb"] is None)
        count = bed.quiet()
        assert not count.lost
        assert len(count.begun_again) <= 2  # of the killed child
        eventually(lambda: daemon.logged("ledger.run"))
        print(bed.told("a full disk"))
        bed.leaves_nothing()
        bed.close()


def test_an_embedded_broker_that_finds_no_room_is_explained(short_dir: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("to mount a small disk needs root")
    daemon = Workerd(short_dir)
    with disk(Path(daemon.env["WORKERD_STATE_DIR"])) as full:
        full.fill(0)
        filler = Path(daemon.env["WORKERD_STATE_DIR"]) / "filler"
        os.truncate(filler, filler.stat().st_size - 64 * 1024)  # for what is written before the server starts
        daemon.start(ready=False)
        try:
            assert daemon.wait() == 69
        finally:
            daemon.end()
        assert daemon.logged("workerd: the embedded broker ended at its start: no space is left on the disk")


def test_a_want_of_descriptors_costs_no_task(bed: Bed) -> None:
    """Nothing can be opened: no link, no child, no answer to an operator, until there is room again."""
    node = bed.add()
    limit = resource.prlimit(node.daemon.pid, resource.RLIMIT_NOFILE)
    bed.send(0.0, 0.0, 1.0, 1.0, 1.0)
    eventually(lambda: node.status["tasks"]["running"])
    child = node.status["pools"][0]["children"][0]["pid"]
    # Below what it has, because what the cut frees must not be enough.
    resource.prlimit(node.daemon.pid, resource.RLIMIT_NOFILE, (8, limit[1]))
    os.kill(child, signal.SIGKILL)
    node.proxy.cut()
    eventually(lambda: node.daemon.logged("(?i)too many open files|descriptor"), within=60)
    resource.prlimit(node.daemon.pid, resource.RLIMIT_NOFILE, limit)
    bed.recovers()
    count = bed.quiet()
    assert not count.lost
    assert len(count.begun_again) <= 2
    eventually(lambda: node.status["pools"][0]["alive"] == 2)
    print(bed.told("a want of descriptors"))
