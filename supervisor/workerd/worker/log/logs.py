"""Logging of the supervisor: to stderr or a file, never waited for, and ``print`` into it once the loop runs.

The app's own set-up is respected: where the root logger has handlers, none is added.
"""

from __future__ import annotations

import faulthandler
import io
import logging
import math
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from workerd.app.running.logs import left_to_app, only, words_of
from workerd.config.model import Log
from workerd.signals import after_setup_logger, after_setup_task_logger
from workerd.worker.log.handler import TASKS, Handler
from workerd.worker.log.logfile import LogFile, open_log
from workerd.worker.log.logstream import LogStream
from workerd.worker.log.look import look
from workerd.worker.log.said import formatter_of

if TYPE_CHECKING:
    from workerd.app.settings.conf import Conf


def set_up(level: str, settings: Log | None = None) -> None:
    """Log at ``level`` to stderr or a file.  Errors: ConfigError, PermissionDeniedError for the file."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(
            line_buffering=True
        )  # else what is printed comes last, where it is no terminal
    root = logging.getLogger()
    root.setLevel(level.upper())
    if not root.handlers:
        root.addHandler(made(settings or Log()))
    # Their debug lines tell of every frame and lock, which drowns ours.
    for noisy in ("amqp", "kombu", "redis"):
        logging.getLogger(noisy).setLevel(max(root.level, logging.INFO))


def made(settings: Log) -> Handler:
    """The handler for these settings.  Errors: as of ``set_up``."""
    stream = open_log(settings.path) if settings.path else LogStream()
    return Handler(stream, look(settings.format, stream.fileno(), os.environ), settings.storm)


def ask_app(level: str, conf: Conf, settings: Log | None = None) -> None:
    """The app is there now: it may set up logging itself, or else say what is to be changed.

    With ``worker_hijack_root_logger`` the handlers that it has put on the root logger while it was imported
    go.  Formats of its own are for text: JSON that an operator has asked for stays JSON.

    Errors: AppImportError.
    """
    settings = settings or Log()
    words = words_of(level, settings.path or None, (ours := handler()) is not None and ours.coloured)
    if left_to_app(words, lambda found: isinstance(found, Handler)):
        return
    if conf.worker_hijack_root_logger:
        only(lambda found: isinstance(found, Handler))
        if handler() is None:
            logging.getLogger().addHandler(made(settings))
    ours, said = handler(), formatter_of(conf)
    if ours is not None and said is not None and settings.format != "json":
        ours.setFormatter(said)
    after_setup_logger.send(sender=None, logger=logging.getLogger(), **words)
    after_setup_task_logger.send(sender=None, logger=logging.getLogger(TASKS), **words)


def handler() -> Handler | None:
    """Ours, unless the app has handlers of its own."""
    return next((one for one in logging.getLogger().handlers if isinstance(one, Handler)), None)


def stream() -> LogStream | None:
    """Where the log goes, unless the app has handlers of its own."""
    ours = handler()
    return ours.stream if ours is not None else None


def descriptor() -> int:
    """Where stacks are written past ``logging``."""
    log = stream()
    return log.fileno() if log is not None else sys.__stderr__.fileno() if sys.__stderr__ is not None else 2


def stacks() -> str:
    """Where every thread of this process is."""
    fd = os.memfd_create("stacks", os.MFD_CLOEXEC)
    with open(fd, "r+b") as file:  # noqa: PTH123 (it has no path)
        faulthandler.dump_traceback(fd, all_threads=True)
        file.seek(0)
        return file.read().decode("utf-8", "replace").rstrip()


def reopen() -> tuple[str, str]:
    """Open the log file anew: its path, and why that cannot be; both empty where we have none."""
    log = stream()
    if not isinstance(log, LogFile):
        return "", ""
    return str(log.path), log.reopen()


def settle() -> None:
    """Write what has not been written yet, for a moment at most: the process ends, or becomes another."""
    if (ours := handler()) is not None:
        ours.tell_storms(math.inf)
        ours.stream.settle()


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
def prints_to_log(level: int | None = logging.WARNING) -> Iterator[None]:
    """What steps print in the supervisor is logged, with its time; not with None."""
    out = sys.stdout
    if level is None:
        yield
        return
    lines = _LineLog(logging.getLogger("workerd.stdout"), level, out)
    sys.stdout = lines
    try:
        yield
    finally:
        sys.stdout = out
        lines.end_line()
