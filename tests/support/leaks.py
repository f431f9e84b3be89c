"""Find every process that a test run started and that is still there.

The run marks itself with an unusual soft limit, which children inherit over fork, exec, a change of
session and the death of their parents.  A marker in the environment would not do: setproctitle
writes over the environment that /proc shows.  Being a sub-reaper would not do either: the orphans
that die on purpose would stay as zombies of the test run.
"""

from __future__ import annotations

import contextlib
import os
import random
import resource
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

# Bytes in POSIX message queues, which nothing here uses; the kernel's default is 819,200.
_MARK = resource.RLIMIT_MSGQUEUE
_MARK_IN_PROC = "Max msgqueue size"


@dataclass(frozen=True)
class Leftover:
    """A process of the run: its pid and how ``ps`` would show it."""

    pid: int
    title: str

    def __str__(self) -> str:
        return f"{self.pid}: {self.title}"


class LeakCheck:
    """Mark this process and find those that descend from it."""

    def __init__(self) -> None:
        self._before = resource.getrlimit(_MARK)
        self.mark = random.SystemRandom().randrange(100_000, 800_000)
        # Only the soft limit, so that it can be put back without privilege.
        resource.setrlimit(_MARK, (self.mark, self._before[1]))

    def leftovers(self) -> list[Leftover]:
        """The marked processes besides this one.

        A zombie is not one of them: it waits for an init that may take its time.
        """
        found = (_look(pid, self.mark) for pid in _pids() if pid != os.getpid())
        return [leftover for leftover in found if leftover is not None]

    def wait(self, within: float) -> list[Leftover]:
        """What is left when ``within`` seconds have passed, or nothing as soon as that is true."""
        deadline = time.monotonic() + within
        while (left := self.leftovers()) and time.monotonic() < deadline:
            time.sleep(0.05)
        return left

    def close(self) -> None:
        """Unmark this process."""
        resource.setrlimit(_MARK, self._before)


def gone(process: psutil.Process) -> bool:
    """True also for a zombie: its parent was told, or is an init that may take its time."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def kill(leftovers: list[Leftover]) -> None:
    """End them; those that went by themselves are no error."""
    for leftover in leftovers:
        with contextlib.suppress(ProcessLookupError):
            os.kill(leftover.pid, signal.SIGKILL)


def _pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _look(pid: int, mark: int) -> Leftover | None:
    try:
        limits = Path(f"/proc/{pid}/limits").read_text()
        line = next((line for line in limits.splitlines() if line.startswith(_MARK_IN_PROC)), "")
        if line[len(_MARK_IN_PROC) :].split()[:1] != [str(mark)]:
            return None
        # Its limits are shown until it is reaped.
        if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX":
            return None
        words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        return Leftover(pid, words.strip())
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None  # gone meanwhile, or another user's
