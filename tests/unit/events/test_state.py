"""The cluster as a node has heard of it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.clock import FakeClock
from tests.unit.protocol.wire_vectors import vector
from workerd.events.state import MOST_HEARTBEATS, MOST_WORKERS, OwnWorker, State, Worker


@pytest.fixture
def state(clock: FakeClock) -> State:
    return State(OwnWorker("me@h", clock.now), clock.now, clock.wall)


def heartbeat(host: str = "w@h", **fields: Any) -> dict[str, Any]:
    body: dict[str, Any] = vector("event-worker-heartbeat")["body"]
    return body | {"hostname": host, "timestamp": 1_700_000_000.0} | fields


def names(state: State) -> set[str]:
    return {worker.hostname for worker in state.alive_workers()}


def test_a_node_joins_with_its_first_word_and_has_celerys_attributes(state: State, clock: FakeClock) -> None:
    worker, created = state.event(heartbeat(pid=7, clock=42, active=1, processed=9))
    assert worker is not None and created
    assert (worker.hostname, worker.pid, worker.clock, worker.freq) == ("w@h", 7, 42, 2.0)
    assert (worker.active, worker.processed, worker.sw_ident) == (1, 9, "py-celery")
    assert (worker.id, worker.status_string) == ("w@h.7", "ONLINE")
    assert worker.heartbeats == [clock.wall()]
    assert worker.heartbeat_expires == clock.wall() + 4.0
    assert repr(worker) == "<Worker: w@h (ONLINE clock:42)>"
    assert state.event(heartbeat()) == (worker, False)
    assert names(state) == {"me@h", "w@h"}


def test_a_node_is_lost_after_two_of_its_own_intervals(state: State, clock: FakeClock) -> None:
    worker, _ = state.event(heartbeat(freq=2.0))
    assert worker is not None
    clock.advance(3.9)
    assert worker.alive
    clock.advance(0.2)
    assert not worker.alive
    assert names(state) == {"me@h"}
    worker.forgive()
    assert worker.alive


def test_a_clock_that_is_set_takes_nobody_for_lost(state: State, clock: FakeClock) -> None:
    state.event(heartbeat())
    clock._wall += 3600.0
    assert names(state) == {"me@h", "w@h"}


def test_a_node_that_says_so_has_left_and_joins_again_as_a_new_one(state: State) -> None:
    first, _ = state.event(heartbeat())
    left, created = state.event(heartbeat(type="worker-offline"))
    assert left is first and not created
    assert first is not None and not first.alive
    assert state.event(heartbeat(type="worker-offline")) == (None, False)
    again, created = state.event(heartbeat(type="worker-online"))
    assert created and again is not first and again == first


def test_this_node_neither_joins_nor_leaves(state: State) -> None:
    own, created = state.event(heartbeat("me@h", pid=1))
    assert own is not None and not created
    assert state.event(heartbeat("me@h", type="worker-offline")) == (None, False)
    state.forget(own)
    assert names(state) == {"me@h"}
    assert state.others == []


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"type": "worker-heartbeat"},
        {"type": 7, "hostname": "w@h"},
        {"type": "task-sent", "hostname": "w@h"},
        {"type": "worker-heartbeat", "hostname": None},
    ],
)
def test_what_is_no_event_of_a_worker_changes_nothing(state: State, event: dict[str, Any]) -> None:
    assert state.event(event) == (None, False)
    assert names(state) == {"me@h"}


@pytest.mark.parametrize(
    ("freq", "believed"), [(0, 0.1), (-5, 0.1), (1e9, 3600.0), ("x", 60.0), (None, 60.0)]
)
def test_an_interval_is_believed_within_reason(state: State, freq: Any, believed: float) -> None:
    worker, _ = state.event(heartbeat(freq=freq))
    assert worker is not None and worker.freq == believed


def test_what_is_kept_is_bounded(state: State, clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(9):
        clock.advance(30.0)
        worker, _ = state.event(heartbeat())
    assert worker is not None and len(worker.heartbeats) == MOST_HEARTBEATS
    assert caplog.text.count("apart") == 1
    for number in range(MOST_WORKERS + 5):
        state.event(heartbeat(f"{number}@h"))
    assert len(state.workers) == MOST_WORKERS
    assert isinstance(state.workers["5@h"], Worker)
