"""The app that an unmodified Flower is given: the tasks by name, and patience for their nodes."""

from __future__ import annotations

from typing import Any

from celery import Celery
from celery.app.control import Control

PATIENCE = 20.0


class Patient(Control):
    """Flower waits one second for a node that it names; these tests share their machine."""

    def broadcast(self, *args: Any, **kwargs: Any) -> Any:
        return super().broadcast(*args, **{"timeout": PATIENCE, **kwargs})


app = Celery("flower", control=Patient)


def elsewhere(*args: Any, **kwargs: Any) -> None:
    """What the tasks do here, where none is run."""


for name in ("add", "hold", "boom", "abortable"):
    app.task(name=f"ledger.{name}")(elsewhere)
