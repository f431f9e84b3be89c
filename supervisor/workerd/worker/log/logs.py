"""Logging of the supervisor: to stderr, which is never waited for, and ``print`` into the log once it runs.

The app's own set-up is respected: where the root logger has handlers, none is added.
"""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from workerd.worker.log.logstream import LogStream

FORMAT = "[%(asctime)s: %(levelname)s/%(processName)s] %(message)s"


def set_up(level: str) -> None:
    """Log at ``level`` to stderr in the field's format."""
    root = logging.getLogger()
    root.setLevel(level.upper())
    if not root.handlers:
        handler = logging.StreamHandler(LogStream())
        handler.setFormatter(logging.Formatter(FORMAT))
        root.addHandler(handler)
    # Their debug lines tell of every frame and lock, which drowns ours.
    for noisy in ("amqp", "kombu", "redis"):
        logging.getLogger(noisy).setLevel(max(root.level, logging.INFO))


def stream() -> LogStream | None:
    """Where the log goes, unless the app has handlers of its own."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler) and isinstance(handler.stream, LogStream):
            return handler.stream
    return None


def settle() -> None:
    """Write what has not been written yet, for a moment at most: the process ends, or becomes another."""
    if (log := stream()) is not None:
        log.settle()


class _LineLog(io.TextIOBase):
    """A text stream whose whole lines become log records; ``original`` is the stream that it replaces."""

    def __init__(self, logger: logging.Logger, level: int, original: TextIO) -> None:
        self.logger, self.level, self.original = logger, level, original
        self._rest = ""
        self._logging = False

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if self._logging:
            # A handler of the app may write to sys.stdout, which is this stream: it would come back for ever.
            return self.original.write(text)
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._log(line)
        return len(text)

    def flush(self) -> None:
        if self._logging:
            self.original.flush()

    def end_line(self) -> None:
        """Log the last line, which nothing has ended."""
        rest, self._rest = self._rest, ""
        self._log(rest)

    def _log(self, line: str) -> None:
        if not line.strip():
            return
        self._logging = True
        try:
            self.logger.log(self.level, "%s", line)
        finally:
            self._logging = False


@contextmanager
def prints_to_log() -> Iterator[None]:
    """What app code prints in the supervisor is logged as a warning, with its time."""
    out = sys.stdout
    lines = _LineLog(logging.getLogger("workerd.stdout"), logging.WARNING, out)
    sys.stdout = lines
    try:
        yield
    finally:
        sys.stdout = out
        lines.end_line()
