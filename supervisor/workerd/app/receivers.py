"""Signals whose receivers are part of an app's set-up: without what they do there is no app."""

from __future__ import annotations

import traceback
from typing import Any

from workerd.errors import AppImportError
from workerd.signals.signal import Signal


def set_up_by(signal: Signal, sender: object, **words: Any) -> None:
    """Send ``signal``.  Errors: AppImportError for a receiver that raises."""
    for receiver, answer in signal.send(sender=sender, **words):
        if isinstance(answer, Exception):
            raise AppImportError(
                f"{receiver!r}, which the signal {signal.name} has called, has failed: {answer!r}",
                "mend the app",
                "".join(traceback.format_exception(answer)),
            ) from answer
