"""What the kernel knows of processes: CPU time and memory.

Units: seconds; MB.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

import psutil


def tree(pid: int) -> list[int]:
    """A process and all that descend from it, itself first."""
    try:
        return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
    except psutil.NoSuchProcess:
        return []


def cpu(pid: int) -> float:
    """Of all its threads that live, to the nanosecond."""
    total = 0
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for stat in Path(f"/proc/{pid}/task").glob("*/schedstat"):
            total += int(stat.read_text().split()[0])
    return total / 1e9


def cpu_with_the_dead(pids: Iterable[int]) -> float:
    """The same of several with the children that they had, in steps of 10 ms."""
    total = 0.0
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess):
            times = psutil.Process(pid).cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def rss(pid: int) -> float:
    """Resident memory."""
    return float(psutil.Process(pid).memory_info().rss) / (1 << 20)


def pss(pids: Iterable[int]) -> float:
    """Memory for themselves, with their part of what they share."""
    total = 0
    for pid in pids:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        total += next(int(line.split()[1]) for line in rollup if line.startswith("Pss:"))
    return total / 1024
