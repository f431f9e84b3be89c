"""Logging in a child: every record goes to the supervisor, which logs it with the task in progress.

The supervisor's own logging is not set up here.
"""

from __future__ import annotations

import logging

from workerd_pool import RecordHandler


def set_up(level: str) -> None:
    """Log at ``level`` to the supervisor; handlers that the app has put on the root logger stay alone."""
    root = logging.getLogger()
    root.setLevel(level.upper())
    if not root.handlers:
        handler = RecordHandler()
        handler.setFormatter(logging.Formatter())
        root.addHandler(handler)
