"""A dispatcher with fakes for everything that it talks to."""

from __future__ import annotations

from typing import Any

from tests.support.clock import FakeClock
from tests.unit.delivery.fakes import FakeDeath, FakePool, FakeResults, FakeSource, FakeTimer
from workerd.delivery import Dispatcher, TaskOptions

SUCCESS = {"state": "SUCCESS", "runtime": 0.5, "repr": "3", "store": True}


class Desk:
    """A dispatcher with everything it talks to."""

    def __init__(self, **source: Any) -> None:
        self.clock, self.timer = FakeClock(), FakeTimer()
        self.pool, self.results = FakePool(), FakeResults()
        self.source = FakeSource(**source)
        self.dispatcher = Dispatcher(clock=self.clock, timer=self.timer, hostname="w@h", max_crashes=3)
        self.lane = self.dispatcher.default
        self.lane.pool = self.pool  # type: ignore[assignment]
        self.dispatcher.failures.results = self.results
        self.lane.tasks = {
            "proj.add": TaskOptions(),
            "proj.early": TaskOptions(acks_late=False),
            "proj.strict": TaskOptions(acks_on_failure=False),
        }
        self.dispatcher.attach(self.source)  # type: ignore[arg-type]

    def take(self, *deliveries: Any) -> None:
        self.dispatcher.on_deliveries(list(deliveries))

    def done(self, header: dict[str, Any] | None = None, index: int = 0) -> None:
        self.dispatcher.runs.on_done(self.pool.finish(index), header or SUCCESS, b"meta")

    def lost(self, **death: Any) -> None:
        self.dispatcher.runs.on_lost(self.pool.finish(), FakeDeath(**death))  # type: ignore[arg-type]
