"""LogFile: the log in a file, which may be moved away under it.

Who rotates logs moves the file, or asks for it to be opened anew (USR1, ``workerd reopen``).  The first is
seen at the next line, a second after the last look at most.  The descriptor keeps its number, as others
write stacks to it.

Units:  seconds of the monotonic clock.
Errors: ConfigError and PermissionDeniedError from ``open_log`` for a file that cannot be opened at the start.
        Later the old file is kept, and the log says so, once.
"""

from __future__ import annotations

import logging
import os
import stat
import time
from pathlib import Path

from workerd.errors import ConfigError, PermissionDeniedError
from workerd.worker.log.logstream import LogStream

logger = logging.getLogger(__name__)

LOOK = 1.0
"""Between two looks whether the file is still the one of that name."""

FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
"""Never waits, also where it is a pipe that nobody reads."""


class LogFile(LogStream):
    """What a ``logging.StreamHandler`` writes to; ``path`` is absolute."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, FLAGS, 0o640)
        super().__init__(self._file)
        self._looked = time.monotonic()
        self._refused = ""

    def flush(self) -> None:
        """Write what can be written now, to the file that has the name now."""
        if self._waiting and time.monotonic() - self._looked >= LOOK:
            self.look()
        super().flush()

    def look(self) -> None:
        """Open the file anew if it is not the one of that name any more."""
        self._looked = time.monotonic()
        own = os.fstat(self._file)
        try:
            found = os.stat(self.path)  # noqa: PTH116 (called each second)
        except OSError:
            self.reopen()
            return
        if (own.st_dev, own.st_ino) != (found.st_dev, found.st_ino):
            self.reopen()

    def reopen(self) -> str:
        """Open the file of that name, which may be a new one; why that cannot be, else nothing."""
        if not stat.S_ISREG(os.fstat(self._file).st_mode):
            return ""  # a pipe or a terminal: whoever is at its end is still there
        try:
            new = os.open(self.path, FLAGS, 0o640)
        except OSError as exc:
            return self._keep(exc.strerror or str(exc))
        try:
            os.dup2(new, self._file, inheritable=False)
        finally:
            os.close(new)
        self._refused = ""
        return ""

    def close(self) -> None:
        super().close()
        os.close(self._file)

    def _keep(self, why: str) -> str:
        if why != self._refused:
            self._refused = why
            # Not by logging: this may be called from a handler, which holds its lock.
            self.write(self.told(f"{self.path} cannot be opened anew ({why}): the old file is kept"))
        return why


def open_log(path: str) -> LogFile:
    """The log at ``path``, a relative one from here.  Errors: ConfigError, PermissionDeniedError."""
    file = Path(path).absolute()
    try:
        return LogFile(file)
    except PermissionError as exc:
        raise PermissionDeniedError(
            f"the log file {file} cannot be written", "let the daemon's user write there"
        ) from exc
    except OSError as exc:
        raise ConfigError(
            f"the log file {file} cannot be opened: {exc.strerror or exc}", "mend log.path (--logfile)"
        ) from exc
