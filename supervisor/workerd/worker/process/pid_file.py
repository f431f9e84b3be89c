"""``PidFile``: the daemon's pid for those who want it in a file.

The holder has a lock on it, which dies with it, so a file that a crash has left behind is not in the way,
and the number in it is never trusted.  A file is removed at a clean end where its directory lets us.

Errors: TakenError that names the holder; PermissionDeniedError; ConfigError; WorkerdError (disk full).
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from workerd.errors import ConfigError, PermissionDeniedError, TakenError, WorkerdError


class PidFile:
    """Held from ``acquire`` to ``release``.  An exec lets it go; the new image has the same pid."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd: int | None = None

    def acquire(self) -> None:
        """Write this process's pid into the file, unless another one that lives has it."""
        while not self._locked():
            pass  # its last holder has just removed the file that was opened here

    def _locked(self) -> bool:
        fd = self._open()
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not self._is_there(fd):
                os.close(fd)
                return False
            os.fchmod(fd, 0o644)  # whatever the umask: it is there to be read
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        except BlockingIOError:
            holder = os.pread(fd, 32, 0).decode("ascii", "replace").strip()
            os.close(fd)
            raise TakenError(
                f"{self.path} is the pid file of a process that runs (pid {holder})",
                "stop that, or choose another pidfile",
            ) from None
        except PermissionError as exc:
            os.close(fd)
            raise _denied(self.path) from exc
        except OSError as exc:
            os.close(fd)
            raise WorkerdError(f"cannot write {self.path}: {exc.strerror}", "make room on that disk") from exc
        self._fd = fd
        return True

    def hand_over(self, uid: int, gid: int) -> None:
        """That user will write it when the daemon's code is started anew."""
        if self._fd is not None:
            os.fchown(self._fd, uid, gid)

    def release(self) -> None:
        """Remove the file, or empty it where its directory does not let us."""
        if self._fd is None:
            return
        if self._is_there(self._fd):
            try:
                self.path.unlink()
            except OSError:
                with suppress(OSError):
                    os.ftruncate(self._fd, 0)
        os.close(self._fd)
        self._fd = None

    def _is_there(self, fd: int) -> bool:
        try:
            return os.path.samestat(self.path.stat(), os.fstat(fd))
        except FileNotFoundError:
            return False

    def _open(self) -> int:
        try:
            return os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        except PermissionError as exc:
            raise _denied(self.path) from exc
        except OSError as exc:
            raise ConfigError(
                f"cannot write {self.path}: {exc.strerror}", "choose a pidfile that can be written"
            ) from exc


def _denied(path: Path) -> PermissionDeniedError:
    return PermissionDeniedError(f"cannot write {path}", "choose a pidfile that this user can write")
