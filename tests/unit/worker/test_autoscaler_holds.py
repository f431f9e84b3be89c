"""What holds the autoscaler back: memory, a pause and the load of the machine."""

from __future__ import annotations

import logging

import pytest

from tests.unit.worker.scaled import FakePool, Rig, rig
from workerd.worker.autoscaler import machine_load

__all__ = ["rig"]


def test_without_memory_to_grow_by_it_only_shrinks(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    rig.memory.may_grow = False
    rig.pool.runs(0.1)
    rig.source.counts = {"celery": 10}
    for _ in range(3):
        assert rig.tick() == [1]
    why = "held: memory budget; est. wait 2.0 s over 1 s with 10 waiting"
    assert caplog.messages == [f"Pool default: no more slots than 1, {why}"]
    rig.memory.may_grow = True
    assert rig.tick() == [2]


def test_while_nothing_is_fetched_no_slot_is_added(rig: Rig) -> None:
    rig.dispatcher.paused = "memory is short"
    rig.pool.runs(0.1, waiting=1)
    rig.source.counts = {"celery": 10}
    assert rig.tick() == [1]
    rig.dispatcher.paused = ""
    assert rig.tick() == [3]


def test_a_busy_machine_holds_it_and_is_told_once_a_window(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    rig = Rig(default=FakePool((1, 4), max_load=2.0, window=10.0))
    load = 8.1
    rig.step.load = lambda: (load, 4)
    for second in range(20):
        rig.pool.runs(0.1, waiting=second % 2)
        assert rig.tick() == [1]
    assert len(caplog.messages) == 1
    assert "held: load 8.1 on 4 CPUs" in caplog.messages[0]
    load = 8.0
    assert rig.tick() == [2]


def test_the_load_is_that_of_the_machine() -> None:
    load, cpus = machine_load()
    assert load >= 0
    assert cpus >= 1
