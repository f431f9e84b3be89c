"""How the parent starts a Python program of its own: the template, and children that are not forked.

posix_spawn and not fork: every signal is blocked in the new process from its first instruction,
it leads its own group, reads /dev/null, writes into two pipes of the supervisor's, and gets its
other descriptors from ``linux.CONTROL`` on.

Errors:  OSError when there is no process, memory or descriptor left.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from workerd_pool import frames
from workerd_pool.contract import Spec
from workerd_pool.linux import CONTROL

if TYPE_CHECKING:
    from workerd_pool.child_handle import ChildHandle

# Addressed by systemd to the supervisor alone.
_NOT_FOR_TASKS = (
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
)

# No descriptor of the new process may be written over before it is copied itself.
_CLEAR_OF_TARGETS = CONTROL + 8


def recipe(spec: Spec, **more: object) -> dict[str, object]:
    """What ``entry.load`` needs, apart from the Spec's ``arg``."""
    plain = {"entry": spec.entry, "name": spec.name, "path": list(spec.path), "open_files": spec.open_files}
    return plain | more


def spawn(child: ChildHandle, spec: Spec) -> int:
    """Start ``workerd_pool.spawned`` as this child; return its pid."""
    # In memory and not on its command line, where everybody could read the argument.
    memory = os.memfd_create("workerd-recipe", os.MFD_CLOEXEC)
    try:
        os.write(memory, frames.encode([recipe(spec, slot=child.slot), spec.arg]))
        os.lseek(memory, 0, os.SEEK_SET)  # the two processes share the position
        down, up, *streams = child.childs_ends()
        pid = exec_module("workerd_pool.spawned", spec.env, [down, up, memory], streams)
    finally:
        os.close(memory)
    child.given_away()
    return pid


def exec_module(module: str, env: Mapping[str, str], fds: Sequence[int], streams: Sequence[int]) -> int:
    """Start ``module`` in ``workerd_pool.program`` with ``streams`` as 1 and 2 and ``fds`` from CONTROL on.

    Returns its pid.
    """
    environment = {key: value for key, value in os.environ.items() if key not in _NOT_FOR_TASKS}
    environment.update(env)
    # -P: the current directory is not searched unless the recipe's path says so.
    argv = [sys.executable, "-P", "-m", "workerd_pool.program", module, str(os.getpid())]
    copies: list[int] = []
    try:
        copies.extend(fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _CLEAR_OF_TARGETS) for fd in (*streams, *fds))
        return os.posix_spawn(
            sys.executable,
            argv,
            environment,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                *((os.POSIX_SPAWN_DUP2, copy, target) for target, copy in enumerate(copies, start=1)),
            ],
            setpgroup=0,
            setsigmask=signal.valid_signals(),
            setsigdef=[
                number for number in signal.valid_signals() if number not in (signal.SIGKILL, signal.SIGSTOP)
            ],
        )
    finally:
        frames.close_all(copies)
