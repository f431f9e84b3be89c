"""``python -m bench.pool.starts``: how long a child takes to start, and how large it is, beside its peers.

The imported code is played by a heap of small objects.  Ours is measured from the decision to the child's
READY, with one child at a time, as a recycled one is replaced; a peer's from ``start()`` to its first answer,
in a parent that has imported as much.

Units: milliseconds; MB of PSS while all the children of one contender live.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from bench.pool.contenders import ROOT
from bench.pool.quantile import quantile
from workerd.worker.loop.hub import Hub
from workerd_pool import Pool, Spec
from workerd_pool.journal import Happened


class Host:
    """A listener that listens to nothing."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        if name.startswith("on_"):
            return lambda *facts: None
        raise AttributeError(name)


@contextmanager
def pool(objects: int, *, threads: bool) -> Iterator[tuple[Hub, Pool]]:
    """Our pool, with one child; ``threads`` in the code make it spawn."""
    hub = Hub()
    arg = f"{objects} {int(threads)}".encode()
    found = Pool(hub, Spec("bench.pool.heap:load", arg, path=(str(ROOT),)), Host())  # type: ignore[arg-type]
    found.start()
    found.want(1)
    while found.alive < 1:
        hub.turn()
    yield hub, found
    found.terminate()
    while found.children() or found.info()["templates"]:
        hub.turn()
    found.reaper.close()
    hub.dispose()


def ours(objects: int, children: int, *, threads: bool = False) -> tuple[list[float], list[float]]:
    """Times and sizes of children that are wanted one after the other."""
    with pool(objects, threads=threads) as (hub, found):
        for number in range(2, children + 2):
            found.want(number)
            while found.alive < number:
                hub.turn()
        asked: dict[int, float] = {}
        times = []
        for entry in found.journal():
            if entry.happened is Happened.ASKED:
                asked[entry.slot] = entry.at
            elif entry.happened is Happened.READY and entry.slot > 1:
                times.append((entry.at - asked[entry.slot]) * 1000)
        return times, [pss(child.pid) for child in found.children()]


def peer(method: str, objects: int, children: int) -> tuple[list[float], list[float]]:
    """The same of multiprocessing's Process."""
    from bench.pool import heap  # noqa: PLC0415 (a template of ours must not find it imported)

    context: Any = multiprocessing.get_context(method)
    if method == "forkserver":
        context.set_forkserver_preload(["bench.pool.heap"])
    heap.fill(objects if method == "fork" else 0)
    times, processes, pipes = [], [], []
    for _ in range(children + 1):
        here, there = context.Pipe()
        began = time.monotonic()
        process = context.Process(target=heap.answer, args=(there, 0 if method == "fork" else objects))
        process.start()
        here.recv()
        times.append((time.monotonic() - began) * 1000)
        processes.append(process)
        pipes.append(here)
    sizes = [pss(process.pid) for process in processes]
    for process in processes:
        process.kill()
        process.join()
    return times[1:], sizes  # the first one starts the server


def pss(pid: int) -> float:
    """MB that a process has for itself, with its part of what it shares."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in rollup if line.startswith("Pss:")) / 1024


def main() -> None:
    """Read the options and measure."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--objects", type=int, default=300_000, help="small objects in the heap (300000)")
    parser.add_argument("--children", type=int, default=30, help="children of each contender (30)")
    options = parser.parse_args()
    heap, count = options.objects, options.children
    contenders: dict[str, Callable[[], tuple[list[float], list[float]]]] = {
        "workerd_pool": lambda: ours(heap, count),
        "workerd_pool, spawned": lambda: ours(heap, count, threads=True),
        "multiprocessing fork": lambda: peer("fork", heap, count),
        "multiprocessing forkserver": lambda: peer("forkserver", heap, count),
        "multiprocessing spawn": lambda: peer("spawn", heap, count),
    }
    print(f"{count} children, {heap:,} objects, {os.cpu_count()} CPUs")
    print(f"{'':28}{'p50 ms':>10}{'p95 ms':>10}{'PSS MB':>10}")
    for name, measure in contenders.items():
        times, sizes = measure()
        print(f"{name:28}{median(times):>10.1f}{quantile(times, 0.95):>10.1f}{median(sizes):>10.1f}")


if __name__ == "__main__":
    main()
