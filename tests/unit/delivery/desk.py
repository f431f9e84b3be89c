"""A dispatcher with fakes for everything that it talks to."""

from __future__ import annotations

from typing import Any

from tests.support.clock import FakeClock
from tests.unit.delivery.fakes import FakeDeath, FakePool, FakeResults, FakeSource, FakeTimer
from workerd.delivery import Dispatcher, TaskOptions
from workerd.delivery.settler import LASTS

SUCCESS = {"state": "SUCCESS", "runtime": 0.5, "repr": "3", "store": True}


class Desk:
    """A dispatcher with everything it talks to."""

    def __init__(self, **source: Any) -> None:
        self.clock = FakeClock()
        self.timer: Any = self.make_timer()
        self.pool, self.results = FakePool(), FakeResults()
        self.source = FakeSource(**source)
        self.dispatcher = Dispatcher(clock=self.clock, timer=self.timer, hostname="w@h", max_crashes=3)
        self.lane = self.dispatcher.default
        self.lane.pool = self.pool  # type: ignore[assignment]
        self.dispatcher.failures.results = self.results
        self.lane.tasks = {
            "proj.add": TaskOptions(),
            "proj.early": TaskOptions(acks_late=False),
            "proj.once": TaskOptions(reject_on_worker_lost=False),
            "proj.once.aside": TaskOptions(reject_on_worker_lost=False, acks_on_failure=False),
            "proj.strict": TaskOptions(acks_on_failure=False),
        }
        self.dispatcher.attach(self.source)  # type: ignore[arg-type]

    def make_timer(self) -> Any:
        return FakeTimer()

    def take(self, *deliveries: Any) -> None:
        self.dispatcher.on_deliveries(list(deliveries))

    def done(self, header: dict[str, Any] | None = None, index: int = 0) -> None:
        self.dispatcher.runs.on_done(self.pool.finish(index), header or SUCCESS, b"meta")
        self.lane.pump()  # the pool tells that it is free

    def runs_last(self) -> None:
        """Children have begun all that they have, and that has run for long enough to be noted."""
        for job in self.pool.jobs:
            self.dispatcher.runs.on_started(job, 4711)
        self.look_what_lasts()

    def look_what_lasts(self) -> None:
        entry = next(entry for entry in self.timer.entries if entry.secs == LASTS)
        self.timer.entries.remove(entry)
        entry.fire()

    def lost(self, **death: Any) -> None:
        self.dispatcher.runs.on_lost(self.pool.finish(), FakeDeath(**death))  # type: ignore[arg-type]
