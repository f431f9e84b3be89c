"""What the next supervisor learns of one that was killed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.clock import FakeClock
from tests.unit.worker.test_database import HandLoop
from workerd.delivery.deaths import Tally
from workerd.worker.state.database import Database
from workerd.worker.state.death_memory import KEPT, DeathMemory
from workerd.worker.state.run_file import RECORD, RunFile

A, B = b"a" * 16, b"b" * 16
Start = Callable[[], tuple[DeathMemory, dict[bytes, Tally]]]


@pytest.fixture
def start(tmp_path: Path, clock: FakeClock) -> Iterator[Start]:
    """A supervisor that starts in the state directory of those before it."""
    files = ExitStack()

    def begin() -> tuple[DeathMemory, dict[bytes, Tally]]:
        database = Database(tmp_path / "db", HandLoop())  # type: ignore[arg-type]
        files.callback(database._hang_up)
        database.open()
        memory = DeathMemory(database, RunFile(tmp_path / "runs"), clock)
        return memory, memory.load()

    with files:
        yield begin


def killed(memory: DeathMemory) -> None:
    """Its file descriptors go, after the end of a turn of its loop; it says no last word."""
    memory.save()
    os.close(memory.runs._fd)
    memory.database._hang_up()


def stopped(memory: DeathMemory) -> None:
    memory.close()
    memory.database.close()


def test_what_ran_when_it_was_killed_has_one_death_more(start: Start) -> None:
    memory, tallies = start()
    assert not tallies
    memory.began(1, A, Tally(0))
    memory.began(2, B, Tally(1))
    memory.ended(1)
    memory.began(3, b"c" * 16, Tally(0))
    memory.ended(3)
    killed(memory)
    memory, tallies = start()
    assert tallies == {B: Tally(2, 1)}
    memory.began(1, B, Tally(2, 1))
    killed(memory)
    memory, tallies = start()
    assert tallies == {B: Tally(3, 2)}
    killed(memory)  # before it ran anything
    assert start()[1] == {B: Tally(3, 2)}


def test_a_stop_leaves_nothing_to_blame(start: Start) -> None:
    memory, _ = start()
    memory.began(1, A, Tally(0))
    stopped(memory)
    assert start()[1] == {}


def test_nothing_is_blamed_for_what_comes_after_the_calm(start: Start) -> None:
    memory, _ = start()
    memory.began(1, A, Tally(0))
    memory.calm()
    memory.ended(1)
    killed(memory)
    assert start()[1] == {}


def test_a_count_is_kept_until_it_is_forgotten_or_old(start: Start, clock: FakeClock) -> None:
    memory, _ = start()
    memory.keep(A, Tally(1)), memory.keep(B, Tally(1)), memory.keep(A, Tally(2))
    memory.forget(B)
    stopped(memory)
    clock.advance(KEPT - 1)
    memory, tallies = start()
    assert tallies == {A: Tally(2)}
    stopped(memory)
    clock.advance(2)
    assert start()[1] == {}


def test_a_death_that_is_read_twice_counts_once(start: Start, tmp_path: Path) -> None:
    memory, _ = start()
    memory.began(1, A, Tally(0))
    killed(memory)
    records = (tmp_path / "runs").read_bytes()
    killed(start()[0])
    (tmp_path / "runs").write_bytes(records)  # the start before was killed before it had cleared the file
    assert start()[1] == {A: Tally(1, 1)}


def test_places_are_used_again_so_that_the_file_stays_short(start: Start, tmp_path: Path) -> None:
    memory, _ = start()
    for number in range(1000):
        memory.began(number, A, Tally(0))
        if number >= 4:
            memory.ended(number - 4)
        memory.save()
    assert (tmp_path / "runs").stat().st_size <= 7 * RECORD.size
    killed(memory)
    assert len(RunFile(tmp_path / "runs").open()) == 4


@pytest.mark.parametrize("content", [b"?" * 100, b"short", os.urandom(4096)])
def test_a_file_in_no_known_form_is_told_and_begun_anew(
    start: Start, tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "runs").write_bytes(content)
    memory, tallies = start()
    assert not tallies
    assert "not in a form that is known" in caplog.text
    memory.began(1, A, Tally(0))
    killed(memory)
    assert start()[1] == {A: Tally(1, 1)}


def test_a_record_that_was_cut_off_is_none(start: Start, tmp_path: Path) -> None:
    memory, _ = start()
    memory.began(1, A, Tally(0)), memory.began(2, B, Tally(0))
    killed(memory)
    os.truncate(tmp_path / "runs", 3 * RECORD.size - 1)
    assert start()[1] == {A: Tally(1, 1)}


def test_a_full_disk_is_told_once_and_runs_go_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    (tmp_path / "runs").symlink_to("/dev/full")
    runs = RunFile(tmp_path / "runs")
    runs._fd = os.open("/dev/full", os.O_RDWR)
    for number in range(3):
        runs.note(number, A, Tally(0)), runs.write()
    assert len(caplog.records) == 1
    assert "No space left" in caplog.text
    os.close(runs._fd)
    runs._fd = os.open(tmp_path / "other", os.O_RDWR | os.O_CREAT)
    runs.strike(0), runs.write()
    os.close(runs._fd)
    assert "can be written again" in caplog.text
    assert (tmp_path / "other").read_bytes().count(A) == 2  # what could not be written before, too
