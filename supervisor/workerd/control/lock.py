"""``NameLock``: one live daemon per name.

The lock is a flock on ``<runtime>/<name>/lock``, so the kernel frees it with its holder, however that
ends.  The pid in the file is for people: it names the holder, and no decision rests on it.

Errors: TakenError that names the holder; PermissionDeniedError.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from workerd.errors import PermissionDeniedError, TakenError, WorkerdError


class NameLock:
    """Held from ``acquire`` to ``release``; a daemon that executes itself anew hands it over by ``keep``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd: int | None = None

    def acquire(self, kept: int | None = None) -> None:
        """Take the lock, or take over the descriptor that ``keep`` has returned before an exec."""
        if self._fd is not None:
            return
        fd = self._open() if kept is None else kept
        os.set_inheritable(fd, False)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            holder = _pid_in(fd)
            os.close(fd)
            raise TakenError(
                f"a daemon named {self.path.parent.name!r} runs already ({holder})",
                "stop it with `workerd stop`, or choose another --name",
            ) from exc
        try:
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        except OSError as exc:
            os.close(fd)
            raise WorkerdError(f"cannot write {self.path}: {exc.strerror}", "make room on that disk") from exc
        self._fd = fd

    def keep(self) -> int:
        """Let the lock outlive an exec; the descriptor to give to ``acquire`` there."""
        if self._fd is None:
            raise ValueError("the lock is not held")
        os.set_inheritable(self._fd, True)
        return self._fd

    def release(self) -> None:
        """Free the name.  The file stays: to remove it would let two daemons lock two files."""
        if self._fd is not None:
            os.ftruncate(self._fd, 0)
            os.close(self._fd)
            self._fd = None

    def _open(self) -> int:
        try:
            return os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        except PermissionError as exc:
            raise PermissionDeniedError(
                f"cannot write {self.path}", "run as the user that owns it, or set WORKERD_RUNTIME_DIR"
            ) from exc


def _pid_in(fd: int) -> str:
    text = os.pread(fd, 32, 0).decode("ascii", "replace").strip()
    return f"pid {text}" if text.isdigit() else "its pid is not known"
