"""The step: what ended is on record before the loop sleeps, what begins before a child has it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.clock import FakeClock
from tests.unit.worker.test_database import HandLoop
from workerd import App
from workerd.config import Config
from workerd.delivery import Dispatcher
from workerd.delivery.deaths import Tally
from workerd.worker.state.statedb import StateDB


def test_what_runs_is_on_record_at_each_end_of_a_turn_of_the_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: FakeClock
) -> None:
    monkeypatch.setenv("WORKERD_STATE_DIR", str(tmp_path))
    hub = HandLoop()
    hub.on_tick = set()  # type: ignore[attr-defined]
    dispatcher = Dispatcher(clock=clock, timer=None, hostname="w@h")
    worker: Any = SimpleNamespace(
        config=Config(), hub=hub, clock=clock, dispatcher=dispatcher, app=App("proj"), statedb=None
    )
    step = StateDB(worker)
    step.database.path.parent.mkdir()
    step.start(worker)
    record = b"m" * 16

    def recorded() -> bool:
        return record in step.deaths.runs.path.read_bytes()

    step.deaths.began(1, record, Tally(0))
    assert not recorded()
    dispatcher.deaths.save()
    assert recorded()
    step.deaths.ended(1)
    assert recorded()
    (tick,) = hub.on_tick  # type: ignore[attr-defined]
    tick()
    assert not recorded()
    step.stop(worker)
    assert not hub.on_tick  # type: ignore[attr-defined]
