"""What tasks print and log, as records of the daemon's log, each with the task that it comes from.

What a task logs keeps its level and its logger's name.  What it prints is logged as INFO when it
went to stdout and as WARNING when it went to stderr, by the logger ``workerd.task.output``.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workerd_pool import Line

OUTPUT = "workerd.task.output"
LEVELS = {"stdout": logging.INFO, "stderr": logging.WARNING}


def log_line(line: Line) -> None:
    """Log one line; what no task has printed carries the name of its process."""
    if not line.text or line.text.isspace():
        return
    name, level = (
        (line.logger or "root", line.level) if line.level is not None else (OUTPUT, LEVELS[line.stream])
    )
    logger = _nearest(name)
    if logger.isEnabledFor(level):
        speaker = line.job.title if line.job is not None else line.source
        record = logging.LogRecord(name, level, "", 0, "%s: %s", (speaker, line.text), None)
        record.process, record.processName = line.pid, line.source.partition(" (")[0]
        logger.handle(record)


def _nearest(name: str) -> logging.Logger:
    """The logger of that name, or the nearest above it; a name that a task made up makes none here."""
    while name:
        found = logging.root.manager.loggerDict.get(name)
        if isinstance(found, logging.Logger):
            return found
        name = name.rpartition(".")[0]
    return logging.root
