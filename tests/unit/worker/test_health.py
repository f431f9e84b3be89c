"""Who is live, who is ready, and who does not get on."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.clock import FakeClock
from workerd.worker.consumer.link import LinkState
from workerd.worker.life.lifecycle import State
from workerd.worker.service.health import health
from workerd.worker.service.progress import PATIENCE, Progress

BOOT = 60.0


class Worker:
    """A daemon in its best hour; tests take something away."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock, self.state = clock, State.RUNNING
        self.config = SimpleNamespace(boot_timeout=BOOT)
        child = SimpleNamespace(pid=os.getpid(), state="IDLE")
        self.pool = SimpleNamespace(
            wanted=2, alive=2, degraded=None, without_code=False, children=lambda: [child, child]
        )
        self.pools = {"default": self.pool}
        self.link = SimpleNamespace(state=LinkState.UP, reason="")
        self.consumer = SimpleNamespace(link=self.link, trying=True)
        self.progress = Progress(self)  # type: ignore[arg-type]

    @property
    def health(self) -> dict[str, Any]:
        return health(self)  # type: ignore[arg-type]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def worker(clock: FakeClock) -> Worker:
    return Worker(clock)


def test_who_runs_tasks_is_live_and_ready(worker: Worker) -> None:
    assert worker.health == {"live": True, "ready": True, "reasons": []}


def test_without_a_broker_it_is_live_and_not_ready_for_however_long(worker: Worker, clock: FakeClock) -> None:
    worker.link.state, worker.link.reason = LinkState.DOWN, "refused"
    for _ in range(3):
        assert worker.health == {"live": True, "ready": False, "reasons": ["no link to the broker: refused"]}
        clock.advance(3600)


@pytest.mark.parametrize("state", [State.BOOTING, State.DRAINING, State.STOPPING, State.KILLING])
def test_before_and_after_it_serves_it_is_not_ready(worker: Worker, state: State) -> None:
    worker.state = state
    assert worker.health == {"live": True, "ready": False, "reasons": [f"the daemon is {state.value}"]}


def test_a_crash_loop_needs_no_restart_and_is_told(worker: Worker, clock: FakeClock) -> None:
    worker.pool.alive, worker.pool.children, worker.pool.degraded = 0, list, "5 deaths in 10 s"
    worker.health
    clock.advance(3600)
    assert worker.health["live"]
    assert worker.health["reasons"] == ["pool default has no child: 5 deaths in 10 s"]


def test_a_pool_that_starts_no_child_does_not_get_on(worker: Worker, clock: FakeClock) -> None:
    worker.pool.alive, worker.pool.children = 0, list
    assert worker.health["reasons"] == ["pool default has no child: they are being started"]
    clock.advance(BOOT + PATIENCE - 1)
    assert worker.health["live"]
    clock.advance(1)
    assert worker.health == {
        "live": False,
        "ready": False,
        "reasons": ["pool default has no child and starts none"],
    }
    worker.pool.alive, worker.pool.children = 1, lambda: [SimpleNamespace(pid=os.getpid(), state="IDLE")]
    assert worker.health["live"]
    # It is counted anew.
    worker.pool.alive, worker.pool.children = 0, list
    assert worker.health["live"]


def test_a_pool_of_no_children_is_as_it_should_be(worker: Worker, clock: FakeClock) -> None:
    worker.pool.wanted = worker.pool.alive = 0
    worker.pool.children = list
    worker.health
    clock.advance(3600)
    assert worker.health["ready"]


def test_a_link_for_which_nobody_tries_does_not_come(worker: Worker, clock: FakeClock) -> None:
    worker.link.state, worker.link.reason, worker.consumer.trying = LinkState.DOWN, "reset", False
    assert worker.health["live"]
    clock.advance(PATIENCE)
    assert worker.health["reasons"] == ["there is no link to the broker and nothing tries to make one"]
