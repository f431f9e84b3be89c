"""What tasks print and log, as records of the daemon's log, each with the task that it comes from.

What a task logs keeps its level and its logger's name.  What it prints is logged as INFO when it
went to stdout and as WARNING when it went to stderr, by the logger ``workerd.task.output``; the app's
settings may say another level, or that it shall not be logged at all.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

from workerd.worker.log import logs
from workerd.worker.log.said import Prints

if TYPE_CHECKING:
    from workerd_pool import Line

OUTPUT = "workerd.task.output"


class Output:
    """Logs lines; ``prints`` is what becomes of those that were printed."""

    def __init__(self, prints: Prints | None = None) -> None:
        self._prints = prints or Prints()

    def log_line(self, line: Line) -> None:
        """Log one line; what no task has printed carries the name of its process."""
        if not line.text or line.text.isspace():
            return
        if line.level is not None:
            name, level = line.logger or "root", line.level
        else:
            printed = self._prints.stdout if line.stream == "stdout" else self._prints.stderr
            if printed is None:
                _write(line.text)
                return
            name, level = OUTPUT, printed
        logger = _nearest(name)
        if logger.isEnabledFor(level):
            logger.handle(_record(line, name, level))


def _record(line: Line, name: str, level: int) -> logging.LogRecord:
    speaker = line.job.title if line.job is not None else line.source
    record = logging.LogRecord(name, level, "", 0, "%s: %s", (speaker, line.text), None)
    record.process, record.processName = line.pid, line.source.partition(" (")[0]
    record.data = facts(line)
    if line.job is not None:
        task, _, task_id = speaker.rpartition("[")
        record.task_name, record.task_id, record.task_text = task, task_id.removesuffix("]"), line.text
    return record


def _write(text: str) -> None:
    """Past the log, and never waiting for whoever reads it where the log is ours."""
    if (log := logs.stream()) is not None:
        log.write(f"{text}\n")
        log.flush_later()
    elif sys.__stderr__ is not None:
        print(text, file=sys.__stderr__)


def facts(line: Line) -> dict[str, str]:
    """What a log that programs read says of it."""
    told = {"event": "task.output" if line.job is not None else "child.output"}
    if line.job is not None:
        told["task"], _, rest = line.job.title.partition("[")
        told["task_id"] = rest.removesuffix("]")
    if line.level is None:
        told["stream"] = line.stream
    return told


def _nearest(name: str) -> logging.Logger:
    """The logger of that name, or the nearest above it; a name that a task made up makes none here."""
    while name:
        found = logging.root.manager.loggerDict.get(name)
        if isinstance(found, logging.Logger):
            return found
        name = name.rpartition(".")[0]
    return logging.root
