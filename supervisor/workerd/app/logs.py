"""Logging in a child: to stderr, with the process and the task in progress.

The supervisor's own logging is not set up here.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workerd.app.request import Frames

FORMAT = "[%(asctime)s: %(levelname)s/%(processName)s] %(task_context)s%(message)s"


class TaskContext(logging.Filter):
    """Gives every record the task in progress: task_name, task_id and both as task_context."""

    def __init__(self, frames: Frames) -> None:
        super().__init__()
        self._frames = frames

    def filter(self, record: logging.LogRecord) -> bool:
        frame = self._frames.current
        name = frame.task.name if frame else None
        task_id = frame.request.id if frame else None
        record.task_name, record.task_id = name, task_id
        record.task_context = f"{name}[{task_id}]: " if name else ""
        return True


def set_up(frames: Frames, level: str) -> None:
    """Log to stderr at ``level``; handlers that the app has put on the root logger stay alone there."""
    root = logging.getLogger()
    root.setLevel(level.upper())
    if root.handlers:
        return
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(FORMAT))
    handler.addFilter(TaskContext(frames))
    root.addHandler(handler)
