"""A memory limit of the kernel around running processes, with cgroup v1 or v2.  Needs root."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

V1, V2 = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")


@contextmanager
def memory_limit(name: str, pids: Iterable[int], size: int) -> Iterator[None]:
    """``pids``, and what they start, have ``size`` bytes together; over that the kernel kills one of them."""
    old = (V1 / "memory.limit_in_bytes").exists()
    parent = V1 if old else V2
    if not old:
        (V2 / "cgroup.subtree_control").write_text("+memory")
    group = parent / name
    group.mkdir()
    try:
        (group / ("memory.limit_in_bytes" if old else "memory.max")).write_text(str(size))
        _move(pids, group)
        yield
    finally:
        _move(map(int, (group / "cgroup.procs").read_text().split()), parent)
        group.rmdir()


def _move(pids: Iterable[int], group: Path) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            (group / "cgroup.procs").write_text(str(pid))
