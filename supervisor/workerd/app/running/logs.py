"""Logging in a child: every record goes to the supervisor, which logs it with the task in progress.

The supervisor's own logging is not set up here; what an app may do about logging is the same in both.

Errors:  AppImportError for a receiver of ``setup_logging`` that raises: there is no log that could tell.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from workerd.app.receivers import set_up_by
from workerd.signals import setup_logging
from workerd_pool import RecordHandler

FORMAT = "[%(asctime)s: %(levelname)s/%(processName)s] %(message)s"


def set_up(level: str, *, alone: bool = False) -> None:
    """Log at ``level`` to the supervisor; handlers that the app has put on the root logger stay alone, or go
    where this shall be the one that is there ``alone``."""
    root = logging.getLogger()
    root.setLevel(level.upper())
    if alone:
        for handler in list(root.handlers):
            root.removeHandler(handler)
    if not root.handlers:
        ours = RecordHandler()
        ours.setFormatter(logging.Formatter())
        root.addHandler(ours)


def ask_app(level: str, *, hijack: bool) -> None:
    """The app is there now: it may set up logging itself; with ``hijack`` its handlers go.

    Errors: AppImportError.
    """
    if not left_to_app(words_of(level), is_ours) and hijack:
        only(is_ours)
        set_up(level)


def is_ours(handler: logging.Handler) -> bool:
    """It takes records to the supervisor."""
    return isinstance(handler, RecordHandler)


def left_to_app(words: dict[str, Any], is_ours: Callable[[logging.Handler], bool]) -> bool:
    """True when the app has receivers of ``setup_logging``: they have set it up now, instead of us."""
    if not setup_logging.heard:
        return False
    only(lambda handler: not is_ours(handler))
    set_up_by(setup_logging, None, **words)
    return True


def only(kept: Callable[[logging.Handler], bool]) -> None:
    """Take every other handler off the root logger."""
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if not kept(handler)]:
        root.removeHandler(handler)


def words_of(level: str, file: str | None = None, coloured: bool = False) -> dict[str, Any]:
    """What every signal about logging says."""
    number = logging.getLevelName(level.upper())
    return {"loglevel": number, "logfile": file, "format": FORMAT, "colorize": coloured}
