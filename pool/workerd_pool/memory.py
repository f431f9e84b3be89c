"""How much memory a process has for itself.

The cheap reading (statm, 10 us) is what is resident minus what is shared with files and other mappings.
Pages that a child still shares copy-on-write with its template count whole in it, so it is an upper
bound.  The exact one (Pss_Anon of smaps_rollup) divides them among the sharers; the kernel walks the whole
address space for it, 9 ms for 600 MB, so a Meter takes it only where the cheap one is near a limit.

Shared memory and mapped files are in neither, nor is what a task's own sub-processes use.

Units:   bytes; seconds of the monotonic clock.
Errors:  none: a process that is gone, or cannot be read just now, uses nothing.
Source:  proc(5); Pss_Anon stands in smaps_rollup since Linux 5.3.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable

from workerd_pool.contract import Spec

PAGE = os.sysconf("SC_PAGE_SIZE")
PERIOD = 1.0  # seconds between two looks at a busy child
OOM_PERIOD = 10.0  # the same where no limit of memory is set, for the kernel's count of kills alone
EXACT_AGAIN = 5.0  # seconds for which an exact reading corrects the cheap ones

_UNITS = ((1 << 30, "GB"), (1 << 20, "MB"), (1 << 10, "kB"))


def resident(pid: int) -> int:
    """What ``pid`` has resident and does not share with files: the upper bound."""
    fields = _read(f"/proc/{pid}/statm").split()
    return (int(fields[1]) - int(fields[2])) * PAGE if len(fields) > 2 else 0


def proportional(pid: int) -> int | None:
    """The share of ``pid`` in its anonymous pages; None where the kernel does not tell us."""
    for line in _read(f"/proc/{pid}/smaps_rollup").splitlines():
        if line.startswith(b"Pss_Anon:"):
            return int(line.split()[1]) * 1024
    return None


def size_text(size: float) -> str:
    """``612 MB``, ``1.5 GB``; units of 1024."""
    for unit, name in _UNITS:
        if size >= unit:
            number = size / unit
            return f"{number:.1f} {name}" if number < 10 and number != int(number) else f"{number:.0f} {name}"
    return f"{size:.0f} bytes"


def next_look(spec: Spec, now: float) -> float:
    """When a busy child is looked at next; all of a pool at the same moments, to wake the loop once."""
    limited = spec.soft_memory is not None or spec.hard_memory is not None
    period = PERIOD if limited else OOM_PERIOD
    return (now // period + 1) * period


class Meter:
    """One process's memory, read as exactly as the question needs it."""

    def __init__(
        self,
        cheap: Callable[[int], int] = resident,
        exact: Callable[[int], int | None] = proportional,
    ) -> None:
        self._cheap, self._exact = cheap, exact
        self._discount = 0  # what the cheap reading counts too much
        self.exact_at = -math.inf

    def read(self, pid: int, near: int, now: float) -> int:
        """What ``pid`` uses; an upper bound below ``near``, corrected by an exact reading from there on."""
        cheap = self._cheap(pid)
        if cheap < near:
            return cheap
        if now - self.exact_at >= EXACT_AGAIN or cheap - self._discount >= near:
            self.refine(pid, now)
        return max(0, cheap - self._discount)

    def estimate(self, pid: int) -> tuple[int, int]:
        """(upper bound, the same less what the last exact reading took off it)."""
        cheap = self._cheap(pid)
        return cheap, max(0, cheap - self._discount)

    def refine(self, pid: int, now: float) -> None:
        """Take an exact reading, whatever it costs."""
        exact = self._exact(pid)
        self._discount = 0 if exact is None else max(0, self._cheap(pid) - exact)
        self.exact_at = now


def _read(path: str) -> bytes:
    # Not Path: this runs each second for each busy child, and that would double its cost.
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        # Gone, another user (the cheap reading needs no permission), or no descriptor is left.
        return b""
    try:
        return os.read(fd, 8192)
    except OSError:
        return b""
    finally:
        os.close(fd)
