"""What the next supervisor knows of revoked ids, and of the logical clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.clock import FakeClock
from tests.unit.worker.test_database import HandLoop
from workerd.delivery.revokes import Revokes
from workerd.worker.state.database import Database
from workerd.worker.state.revoke_memory import RevokeMemory

Start = Callable[[], tuple[RevokeMemory, Revokes]]


@pytest.fixture
def start(tmp_path: Path, clock: FakeClock) -> Iterator[Start]:
    """A supervisor that starts in the state directory of those before it; they were killed."""
    before = ExitStack()

    def begin() -> tuple[RevokeMemory, Revokes]:
        before.close()
        database = Database(tmp_path / "db", HandLoop())  # type: ignore[arg-type]
        before.callback(database._hang_up)
        database.open()
        memory, revokes = RevokeMemory(database, clock), Revokes(clock, most=3, keep=100.0)
        revokes.remember(memory, memory.load())
        return memory, revokes

    with before:
        yield begin


def test_ids_outlive_a_supervisor_that_is_killed(start: Start) -> None:
    _, revokes = start()
    revokes.add(["a", "b'; DROP TABLE revoked", "ü"])
    _, revokes = start()
    assert revokes.ids == ["a", "b'; DROP TABLE revoked", "ü"]


def test_the_time_of_an_id_runs_on_while_no_daemon_does(start: Start, clock: FakeClock) -> None:
    _, revokes = start()
    revokes.add(["old"])
    clock.advance(60.0)
    revokes.add(["young"])
    clock.advance(50.0)
    memory, revokes = start()
    assert revokes.ids == ["young"]
    assert list(memory.load()) == ["young"]


def test_what_is_too_much_is_forgotten_on_disk_too_the_oldest_first(start: Start, clock: FakeClock) -> None:
    _, revokes = start()
    for task_id in "abcd":
        revokes.add([task_id])
        clock.advance(1.0)
    revokes.add(["b"])  # again, and so the youngest
    memory, revokes = start()
    assert revokes.ids == ["c", "d", "b"]
    assert list(memory.load()) == ["c", "d", "b"]


def test_many_ids_at_once_are_one_statement(start: Start) -> None:
    memory, _ = start()
    memory.add([str(number) for number in range(20_000)], 2e9)
    assert len(memory.load()) == 20_000
    memory.remove([str(number) for number in range(19_999)])
    memory._database.flush()
    memory, _ = start()
    assert list(memory.load()) == ["19999"]


def test_the_clock_goes_on_where_it_was(start: Start) -> None:
    memory, _ = start()
    assert memory.load_clock() == 0
    memory.save_clock(7)
    memory.save_clock(42)
    memory._database.flush()
    memory, _ = start()
    assert memory.load_clock() == 42
