"""The ledger's app, whose consumer makes no attempt at a broker while the file ``give-up`` is there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.support.apps.ledger import app
from workerd import bootsteps

__all__ = ["app"]


class GivingUp(bootsteps.StartStopStep):
    """Looks for the file in the daemon's directory."""

    requires = ("Hub",)

    def start(self, worker: Any) -> None:
        self.gave_up = False
        self.ticker = worker.hub.call_repeatedly(0.1, self.look, worker)

    def stop(self, worker: Any) -> None:
        self.ticker.cancel()

    def look(self, worker: Any) -> None:
        consumer, gives_up = worker.consumer, Path("give-up").exists()
        if gives_up and consumer._retry is not None:
            consumer._retry.cancel()
            consumer._retry, self.gave_up = None, True
        elif self.gave_up and not gives_up:
            self.gave_up = False
            consumer.start()


app.steps["worker"].add(GivingUp)
