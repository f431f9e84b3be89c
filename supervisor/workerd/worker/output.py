"""What tasks print, as lines of the daemon's log, each with the task that it comes from.

stdout is logged as INFO and stderr as WARNING, by the logger ``workerd.task.output``.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workerd_pool import Line

logger = logging.getLogger("workerd.task.output")

LEVELS = {"stdout": logging.INFO, "stderr": logging.WARNING}


def log_line(line: Line) -> None:
    """Log one line; what no task has printed carries the name of its process."""
    if line.text and not line.text.isspace():
        speaker = line.job.title if line.job is not None else line.source
        logger.log(LEVELS[line.stream], "%s: %s", speaker, line.text)
