"""A desk with rate-limited tasks, whose time is let pass by hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest

from tests.unit.delivery.desk import SUCCESS, Desk
from tests.unit.delivery.fakes import delivery, message
from workerd.delivery import Stage, TaskOptions
from workerd.worker.loop.timer import Timer


class RatedDesk(Desk):
    """A desk whose timer fires as time is let pass."""

    def make_timer(self) -> Timer:
        return Timer(self.clock.now)

    def __init__(self, slots: int = 2, **source: Any) -> None:
        super().__init__(**source)
        self.pool.alive = slots
        self.lane.tasks = {**self.lane.tasks, "proj.mail": TaskOptions(), "proj.sms": TaskOptions()}
        self.began: list[str] = []

    def limit(self, rate: float, task: str = "proj.mail") -> None:
        self.dispatcher.rates.limit(task, rate)

    def send(self, *ids: str, task: str = "proj.mail", **fields: Any) -> None:
        self.take(*(delivery(one, message(one, task=task, **fields)) for one in ids))

    def finish_all(self) -> None:
        """What runs ends at once, and what follows it too."""
        while self.pool.jobs:
            self.began.append(self.pool.jobs[0].title.partition("[")[2].rstrip("]"))
            self.done(SUCCESS | {"runtime": 0.001})

    def let_pass(self, seconds: float, *, finish: bool = True) -> None:
        until = self.clock.now() + seconds
        while (wait := self.timer.wait()) is not None and self.clock.now() + wait <= until:
            self.clock.advance(wait)
            for entry in self.timer.due():
                if not entry.canceled:
                    entry()
            if finish:
                self.finish_all()
        self.clock.advance(until - self.clock.now())

    @property
    def running(self) -> list[str]:
        return [job.title.partition("[")[2].rstrip("]") for job in self.pool.jobs]

    def stages(self) -> Counter[Stage]:
        return Counter(request.stage for request in self.dispatcher.table)


@pytest.fixture
def desk() -> RatedDesk:
    return RatedDesk()


def names(prefix: str, count: int) -> Iterable[str]:
    return [f"{prefix}{number}" for number in range(count)]
