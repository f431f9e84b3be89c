"""What a child costs: the thousandth starts as small as the first, and nothing is shared but pages."""

from __future__ import annotations

import gc
import json
import os
import statistics
from pathlib import Path

from tests.process.pool.conftest import Rig, both
from tests.support.eventually import eventually

SIZE = 5


def pss(pid: int) -> int:
    """kB that a process has for itself, with its part of what it shares with its kind.

    Of files it has a part that every other Python on the machine changes as it comes and goes.
    """
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in rollup if line.startswith("Pss_Anon:"))


def median_size(rig: Rig) -> float:
    """Of the children that are there, when all are and none has run anything."""
    rig.until(
        lambda: [child.served for child in rig.pool.children()] == [0] * SIZE and rig.pool.alive == SIZE
    )
    return statistics.median(pss(child.pid) for child in rig.pool.children())


def test_the_last_of_many_children_starts_as_small_as_the_first(rig: Rig, rounds: int) -> None:
    # With --long the thousandth; each child runs one job and is replaced.
    rig.boot(SIZE, max_jobs=1, objects=200_000)
    first, children = median_size(rig), 100 * rounds
    for _ in range(children):
        rig.run("echo")
    last = median_size(rig)
    assert len(rig.notes.done) == children
    assert abs(last - first) <= 0.05 * first, f"{first} kB, then {last} kB"


def test_what_is_imported_is_frozen_before_the_first_fork(rig: Rig) -> None:
    rig.boot(1, objects=200_000)
    told = json.loads(rig.run("facts")[1])
    assert told["frozen"] > 200_000
    # What a job makes is looked through as in every Python: hardly ever is for what loads.
    assert told["collector"] == [True, *gc.get_threshold()]


@both
def test_nothing_is_shared_but_pages(rig: Rig) -> None:
    before = set(os.listdir("/dev/shm"))  # noqa: PTH208
    rig.boot(3)
    rig.run("digest", b"x" * (1 << 20))  # by memfd
    for pid in (*rig.pids(), *rig.template_pids()):
        maps = [line.split(maxsplit=5) for line in Path(f"/proc/{pid}/maps").read_text().splitlines()]
        shared = [words for words in maps if words[1].startswith("rw") and words[1].endswith("s")]
        assert shared == []
        assert not [words for words in maps if len(words) > 5 and "/dev/shm" in words[5]]
    # Others' come and go on the same machine.
    eventually(lambda: set(os.listdir("/dev/shm")) <= before)  # noqa: PTH208
