"""``workerd demo``: start a daemon, feed it one task a file, check all it found, stop it.

Errors: UnavailableError when the daemon does not run, WorkerdError when results are lost or wrong.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workerd.demo.daemon import DemoDaemon
from workerd.demo.files import Totals, files_under
from workerd.demo.progress import Progress
from workerd.errors import WorkerdError

if TYPE_CHECKING:
    from workerd.app import AsyncResult

# Tasks sent ahead of the results: enough to keep every child busy, few enough to show progress.
_AHEAD = 1000
_SILENCE = 60.0  # seconds without the next result until it counts as lost


def run_demo(directory: Path | None, size: str | None) -> int:
    """The whole demo, told on stdout; 0 when all went well."""
    root, paths = files_under(directory)
    print(f"workerd demo: {len(paths)} files under {root}")
    with DemoDaemon(size) as daemon:
        status = daemon.wait_until_ready()
        print(f"daemon: pid {status['pid']}, embedded broker, log {daemon.log}", flush=True)
        began, wall = time.monotonic(), time.time()
        found = _measure_all(paths)
        seconds = time.monotonic() - began
        totals = _totals(found, wall)
        _tell(totals, seconds, lost=len(paths) - len(found))
        left = daemon.stop()
        print(f"left running      {', '.join(map(str, left)) or 'nothing'}")
        _judge(totals, lost=len(paths) - len(found), left=len(left))
    print("The daemon did all the work and has stopped.")
    return 0


def _measure_all(paths: Sequence[str]) -> list[dict[str, Any]]:
    # The app is made for the broker of the environment that DemoDaemon has set.
    from workerd.demo.filestats import measure  # noqa: PLC0415

    progress = Progress(len(paths))
    found = []
    try:
        for result in _collected(paths, measure.delay):
            found.append(result)
            progress.step()
    finally:
        progress.end()
    return found


def _collected(paths: Sequence[str], send: Callable[[str], AsyncResult]) -> Iterator[dict[str, Any]]:
    """The results in order; those that do not come are left out."""
    waiting: deque[AsyncResult] = deque()
    for path in paths:
        waiting.append(send(path))
        if len(waiting) >= _AHEAD:
            yield from _next(waiting)
    while waiting:
        yield from _next(waiting)


def _next(waiting: deque[AsyncResult]) -> Iterator[dict[str, Any]]:
    result = waiting.popleft()
    try:
        yield result.get(timeout=_SILENCE)
    except TimeoutError:
        print(f"lost: task {result.id}")


def _totals(found: list[dict[str, Any]], began: float) -> Totals:
    totals = Totals()
    for one in found:
        totals.add(one)
        totals.check(one, began)
    return totals


def _tell(totals: Totals, seconds: float, lost: int) -> None:
    rows = {
        "files": totals.files,
        "bytes": totals.size,
        "lines": totals.lines,
        "seconds": f"{seconds:.2f}",
        "tasks/s": f"{totals.files / seconds:.0f}",
        "retries": totals.retries,
        "unreadable": totals.unreadable,
        "lost": lost,
        "wrong": len(totals.wrong),
    }
    for name, value in rows.items():
        print(f"{name:<17} {value}")


def _judge(totals: Totals, lost: int, left: int) -> None:
    if lost:
        raise WorkerdError(f"{lost} results were lost", "this is a bug of workerd; keep the log")
    if totals.wrong:
        raise WorkerdError(
            f"{len(totals.wrong)} results are wrong, the first for {totals.wrong[0]}", "see it"
        )
    if left:
        raise WorkerdError(f"{left} processes are left running", "this is a bug of workerd; keep the log")
