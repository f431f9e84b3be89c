"""What the pool needs of Linux beyond the ``os`` module, and the two signals of its own.

Errors: PlatformError for a kernel that is too old, OSError from prctl.
"""

from __future__ import annotations

import ctypes
import os
import re
import signal
from contextlib import suppress
from pathlib import Path

from workerd_pool.errors import PlatformError

MINIMUM = (5, 4)  # pidfd_open came with 5.3, waiting for pidfds by poll with 5.4

WAKE = signal.SIGRTMIN + 1
"""The parent's one interruption of a child: look whether something is due."""
DUMP = signal.SIGRTMIN + 2
"""faulthandler writes every thread's stack to stderr."""
QUIET = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
"""What reaches whole groups (systemd, a terminal) and must not disturb templates and children."""

CONTROL = 3
"""The descriptor on which a template finds its control socket."""

_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_CHILD_SUBREAPER = 36


def check_kernel(system: str | None = None, release: str | None = None) -> None:
    """Raise PlatformError unless this is Linux 5.4 or later."""
    uname = os.uname()
    system, release = system or uname.sysname, release or uname.release
    if system != "Linux":
        raise PlatformError(f"workerd needs Linux >= {MINIMUM[0]}.{MINIMUM[1]}, and this is {system}")
    match = re.match(r"(\d+)\.(\d+)", release)
    if match is None or (int(match[1]), int(match[2])) < MINIMUM:
        raise PlatformError(f"workerd needs Linux >= {MINIMUM[0]}.{MINIMUM[1]}, and this kernel is {release}")


def become_subreaper() -> None:
    """Orphans below this process become its children, not init's."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def stay_dumpable() -> None:
    """As before it changed its user, a process owns its ``/proc`` entries and may dump its core."""
    _prctl(_PR_SET_DUMPABLE, 1)


def die_with_parent(parent: int) -> None:
    """Get KILL when the parent ends.  Exits at once if it is not ``parent`` any more."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # The signal covers deaths from now on; a parent that was gone before shows here.
    if os.getppid() != parent:
        os._exit(0)


def stopped(pid: int) -> bool:
    """A signal or a debugger holds ``pid``: it takes no step until it is let go.  False where it is gone."""
    try:
        # What follows the name, which may have any bytes in it.
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2][:1] in (b"T", b"t")
    except OSError:
        return False


def close_from(first: int) -> None:
    """Close every descriptor from ``first`` on, also those above a limit that was lowered since."""
    for fd in [int(entry.name) for entry in Path("/proc/self/fd").iterdir()]:
        # One of them was that of the directory itself.
        if fd >= first:
            with suppress(OSError):
                os.close(fd)


def _prctl(option: int, value: int) -> None:
    if (
        _libc.prctl(option, ctypes.c_ulong(value), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0))
        != 0
    ):
        code = ctypes.get_errno()
        raise OSError(code, f"prctl({option}): {os.strerror(code)}")
