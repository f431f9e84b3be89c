"""How many CPUs this process may keep busy: its affinity, and the cgroup v2 quotas above it.

A container that may use one and a half CPUs of a machine of 64 sees 64; its quota is what counts.

Errors:  none: a file that is not there or cannot be read says nothing.
Source:  Documentation/admin-guide/cgroup-v2.rst, ``cpu.max``.
"""

from __future__ import annotations

import math
import os
from contextlib import suppress
from pathlib import Path

from workerd_pool.cgroup import OWN, ROOT, folders_of


def usable_cpus(own: Path = OWN, root: Path = ROOT) -> int:
    """A count, 1 or more; a part of a CPU counts as one."""
    quotas = [_quota(folder / "cpu.max") for folder in folders_of(own, root)]
    counts = [math.ceil(quota) for quota in quotas if quota is not None]
    return max(1, min([len(os.sched_getaffinity(0)), *counts]))


def _quota(file: Path) -> float | None:
    """CPUs, of a file that says ``QUOTA PERIOD`` in microseconds, or ``max PERIOD``."""
    with suppress(OSError, ValueError, ZeroDivisionError):
        quota, period = file.read_text().split()
        return int(quota) / int(period)
    return None
