"""What ``app.conf`` says of the log, under the names that Celery gives these settings.

Without any of them the log has the field's own format, and what the supervisor prints is a warning.
"""

from __future__ import annotations

import logging
from copy import copy
from typing import TYPE_CHECKING, NamedTuple

from workerd.app.running.logs import FORMAT

if TYPE_CHECKING:
    from workerd.app.settings.conf import Conf

TASK_FORMAT = "[%(asctime)s: %(levelname)s/%(processName)s] %(task_name)s[%(task_id)s]: %(message)s"
"""Celery's, where only the times of such records are to be written in another way."""


class Prints(NamedTuple):
    """At which level what is printed is logged; None: it goes to stderr as it is."""

    stdout: int | None = logging.INFO
    stderr: int | None = logging.WARNING


class SaidFormatter(logging.Formatter):
    """Formats of one's own, one of them for what tasks log."""

    def __init__(self, log: tuple[str | None, str | None], task: tuple[str | None, str | None]) -> None:
        super().__init__(log[0] or FORMAT, log[1])
        self._task = logging.Formatter(task[0] or TASK_FORMAT, task[1]) if any(task) else None

    def format(self, record: logging.LogRecord) -> str:
        text = getattr(record, "task_text", None)
        if self._task is None or text is None:
            return super().format(record)
        # Its name and id stand in the format, so they do not stand before the text as well.
        own = copy(record)
        own.msg, own.args = text, None
        return self._task.format(own)


def formatter_of(conf: Conf) -> logging.Formatter | None:
    """What the formats of ``conf`` ask for; None where they ask for nothing."""
    log = conf.worker_log_format, conf.worker_log_datefmt
    task = conf.worker_task_log_format, conf.worker_task_log_datefmt
    return SaidFormatter(log, task) if any(log) or any(task) else None


def prints_of(conf: Conf) -> Prints:
    """What becomes of what tasks print."""
    if not conf.worker_redirect_stdouts:
        return Prints(None, None)
    if (level := conf.worker_redirect_stdouts_level) is None:
        return Prints()
    number = logging.getLevelNamesMapping()[level]
    return Prints(number, number)
