"""The embedded broker for as long as one command needs it, when no daemon runs it.

A daemon that starts meanwhile follows this server, and takes over when it ends.

Units:   seconds.
Errors:  UnavailableError when the server does not start, ConfigError without a server binary,
         PermissionDeniedError for the data directory of another user.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from workerd.errors import UnavailableError
from workerd.worker.embedded import process
from workerd.worker.embedded.binary import find_server
from workerd.worker.embedded.link import answers
from workerd.worker.embedded.private import private_dir

BOOT, STOP, LOOK = 10.0, 10.0, 0.02


@contextmanager
def visiting(data_dir: Path, socket: Path) -> Iterator[None]:
    """Have a server on ``data_dir`` answer within the block; where there is no such directory, or a server
    runs already, nothing is done."""
    locked = None
    # Of what lies in a directory that this user may not search, whoever connects is told.
    there = os.access(data_dir, os.F_OK) and data_dir.is_dir()
    if there and not answers(socket):
        locked = process.lock(private_dir(data_dir))
    if locked is None:
        yield
        return
    try:
        pid = process.spawn(find_server(), data_dir, socket, locked)
    finally:
        os.close(locked)
    try:
        _wait(pid, data_dir, socket)
        yield
    finally:
        process.end(pid, STOP)
        os.waitpid(pid, 0)


def _wait(pid: int, data_dir: Path, socket: Path) -> None:
    deadline = time.monotonic() + BOOT
    while not answers(socket):
        if process.has_ended(pid) or time.monotonic() > deadline:
            raise UnavailableError(
                f"the embedded broker does not start: {process.last_words(data_dir)}",
                f"see {data_dir / process.LOG_NAME}",
            )
        time.sleep(LOOK)
