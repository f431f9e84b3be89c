"""The memory guard: whom it looks at, and that its readings never hold the loop for long."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from tests.support.clock import FakeClock
from workerd_pool import Interruption, Spec
from workerd_pool.deadlines import NEVER, Deadlines
from workerd_pool.guard import PAUSE, MemoryGuard

MB = 1 << 20


class Child:
    """A child with a job, as far as the guard reads it; each reading takes ``cost`` seconds."""

    def __init__(self, clock: FakeClock, size: int, cost: float = 0.0) -> None:
        self.spec = Spec("a:b", soft_memory=60 * MB, hard_memory=100 * MB)
        self.due, self.pid, self.at_end, self.generation = Deadlines(memory=clock.now()), 7, False, 1
        self.current: Any = SimpleNamespace(title="job")
        self.warned: Any = None
        self.size, self.reads = size, 0
        self._clock, self._cost = clock, cost
        self.meter = SimpleNamespace(read=self._read)

    def name(self) -> str:
        return "child"

    def _read(self, pid: int, near: int, now: float) -> int:
        assert near == 60 * MB
        self.reads += 1
        self._clock.advance(self._cost)
        return self.size


class Rig(list[Any]):
    """The crew, the enforcer and the witness in one."""

    def __init__(self, clock: FakeClock, *children: Child) -> None:
        super().__init__(children)
        self.clock, self.looks, self.orders = clock, 0, list[Any]()
        rig: Any = self
        self.guard = MemoryGuard(rig, rig, rig, clock.now)

    def look(self) -> None:
        self.looks += 1

    def read(self, child: Child) -> None:
        """Nothing waits."""

    def kill_for(self, child: Child, job: Any, reason: Any) -> None:
        assert job is child.current
        self.orders.append(reason.words)

    def interrupt(self, child: Child, job: Any, cause: Interruption, text: str) -> None:
        self.orders.append(text)

    def tick(self) -> None:
        self.guard.tick(self.clock.now())


def test_the_soft_limit_is_told_once_and_the_hard_one_kills(clock: FakeClock) -> None:
    child = Child(clock, 50 * MB)
    rig = Rig(clock, child)
    for size in (50, 70, 80, 101):
        child.size = size * MB
        rig.tick()
        assert child.due.memory == clock.now() + 1.0
        rig.tick()  # not due again
        clock.advance(1.0)
    assert rig.orders == [
        "soft memory limit (60 MB): its child has 70 MB",
        "hard memory limit (100 MB): it had 101 MB",
    ]
    assert (child.reads, rig.looks) == (4, 4)


def test_a_child_without_a_job_is_left_alone(clock: FakeClock) -> None:
    child = Child(clock, 500 * MB)
    child.current = None
    rig = Rig(clock, child)
    rig.tick()
    assert (child.due.memory, child.reads, rig.orders) == (NEVER, 0, [])


def test_a_job_that_ended_meanwhile_is_not_blamed(clock: FakeClock) -> None:
    child = Child(clock, 500 * MB)
    rig = Rig(clock, child)
    rig.read = lambda child: setattr(child, "current", SimpleNamespace(title="next"))  # type: ignore[method-assign]
    rig.tick()
    assert rig.orders == []


def test_long_readings_are_spread(clock: FakeClock) -> None:
    children = [Child(clock, 50 * MB, cost=0.015) for _ in range(5)]
    rig = Rig(clock, *children)
    rig.tick()
    assert [child.reads for child in children] == [1, 1, 0, 0, 0]
    for _ in range(2):
        clock.advance(PAUSE)
        rig.tick()
    assert [child.reads for child in children] == [1] * 5
