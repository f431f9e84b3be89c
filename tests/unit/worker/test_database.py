"""The state database: what is written is there for the next supervisor, whatever becomes of the file."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from workerd.errors import ConfigError, PermissionDeniedError
from workerd.worker.state.database import MIGRATIONS, RETRY, Database

ADOPT = "INSERT INTO adopted (key, queue, payload, since) VALUES (?, ?, ?, ?)"


class HandLoop:
    """Turns and timers moved by hand."""

    def __init__(self) -> None:
        self.soon: list[Callable[..., object]] = []
        self.later: list[tuple[float, Callable[..., object]]] = []

    def call_soon(self, callback: Callable[..., object], *args: object) -> None:
        self.soon.append(callback)

    def call_later(self, delay: float, callback: Callable[..., object], *args: object) -> HandLoop:
        self.later.append((delay, callback))
        return self

    def cancel(self) -> None:
        self.later.clear()

    def turn(self) -> None:
        due, self.soon = self.soon, []
        for callback in due:
            callback()

    def ring(self) -> None:
        due, self.later = self.later, []
        for _, callback in due:
            callback()


@pytest.fixture
def loop() -> HandLoop:
    return HandLoop()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "statedb.sqlite3"


@pytest.fixture
def database(path: Path, loop: HandLoop) -> Iterator[Database]:
    made = opened(path, loop)
    yield made
    made.close()
    made.close()


def opened(path: Path, loop: Any) -> Database:
    database = Database(path, loop)
    database.open()
    return database


def put(database: Database, mark: bytes) -> None:
    database.write("INSERT INTO deaths VALUES (?, 1, 0, 5.0)", mark)


def marks(database: Database) -> list[bytes]:
    return [mark for (mark,) in database.read("SELECT mark FROM deaths ORDER BY mark")]


def test_writes_of_one_turn_are_one_commit_that_survives_a_kill(
    database: Database, path: Path, loop: HandLoop
) -> None:
    put(database, b"a"), put(database, b"b")
    assert len(loop.soon) == 1
    with sqlite3.connect(path) as other:
        assert other.execute("SELECT count(*) FROM deaths").fetchone() == (0,)
        loop.turn()
        # Nobody has closed the first one: so a killed process leaves it.
        assert other.execute("SELECT count(*) FROM deaths").fetchone() == (2,)
    other.close()


def test_it_is_readable_by_its_user_alone(database: Database, path: Path) -> None:
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_new_one_has_every_table_and_an_old_one_gets_what_it_lacks(
    path: Path, loop: HandLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = opened(path, loop)
    put(first, b"a")
    first.close()
    monkeypatch.setattr("workerd.worker.state.database.MIGRATIONS", (*MIGRATIONS, "CREATE TABLE more (x)"))
    second = opened(path, loop)
    assert marks(second) == [b"a"]
    assert second.read("SELECT * FROM more") == []
    assert second.read("PRAGMA user_version") == [(len(MIGRATIONS) + 1,)]
    second.close()
    monkeypatch.undo()
    with pytest.raises(ConfigError, match="newer workerd"):
        Database(path, loop).open()  # type: ignore[arg-type]


@pytest.mark.parametrize("garbage", [b"no database at all" * 400, b"SQLite format 3\0" + b"\xff" * 8000])
def test_a_damaged_file_is_set_aside_and_a_new_one_begun(
    path: Path, loop: HandLoop, caplog: pytest.LogCaptureFixture, garbage: bytes
) -> None:
    path.write_bytes(garbage)
    database = opened(path, loop)
    put(database, b"a")
    assert marks(database) == [b"a"]
    database.close()
    [aside] = path.parent.glob("statedb.sqlite3.corrupt-*")
    assert aside.read_bytes() == garbage
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert aside.name in caplog.text


def test_one_that_is_damaged_while_it_is_used_is_set_aside_and_the_write_is_kept(
    database: Database, path: Path, loop: HandLoop
) -> None:
    for n in range(400):
        put(database, b"%03d" % n)
    loop.turn()
    database.read("PRAGMA wal_checkpoint(TRUNCATE)")
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 4096 * 3)
    database.read("PRAGMA shrink_memory")
    put(database, b"000")
    put(database, b"new")
    loop.turn()
    assert b"new" in marks(database)
    assert list(path.parent.glob("*.corrupt-*"))


def test_a_full_disk_is_told_once_and_what_waits_is_written_when_there_is_room(
    database: Database, loop: HandLoop, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    put(database, b"kept")
    loop.turn()
    [(pages,)] = database.read("PRAGMA page_count")
    full = database._connect

    def small() -> None:
        full()
        assert database._connection is not None
        database._connection.execute(f"PRAGMA max_page_count={pages}")

    database._hang_up()
    database._connect = small  # type: ignore[method-assign]
    for n in range(2):
        put(database, b"%d" % n * 5000)
        loop.turn(), loop.ring()
    assert database.problem == "database or disk is full"
    assert [delay for delay, _ in loop.later] == [RETRY]
    assert [record.levelname for record in caplog.records] == ["WARNING"]

    database._connect = full  # type: ignore[method-assign]
    loop.ring()
    assert database.problem is None
    assert len(marks(database)) == 3
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


def test_a_tool_that_holds_the_lock_is_waited_for_in_the_background(
    database: Database, path: Path, loop: HandLoop
) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    put(database, b"a")
    loop.turn()
    assert database.problem == "database is locked"
    other.execute("ROLLBACK")
    other.close()
    loop.ring()
    assert marks(database) == [b"a"]


def test_a_directory_in_its_place_is_told_as_what_the_operator_must_mend(path: Path, loop: HandLoop) -> None:
    path.mkdir()
    database = Database(path, loop)  # type: ignore[arg-type]
    with pytest.raises(PermissionDeniedError, match=r"statedb\.sqlite3"):
        database.open()


def test_a_mistake_in_a_statement_is_raised_and_holds_up_no_later_one(
    database: Database, loop: HandLoop
) -> None:
    database.write("INSERT INTO nowhere VALUES (1)")
    with pytest.raises(sqlite3.OperationalError, match="nowhere"):
        loop.turn()
    put(database, b"a")
    loop.turn()
    assert marks(database) == [b"a"]


def test_what_comes_after_the_close_is_dropped(database: Database, loop: HandLoop) -> None:
    database.close()
    put(database, b"a")
    loop.turn(), loop.ring()
    assert not loop.later
    assert database.read("SELECT 1") == []


def test_what_is_written_for_good_has_reached_the_disk_and_nothing_else_waits_for_it(
    database: Database, path: Path, loop: HandLoop
) -> None:
    statements: list[str] = []
    assert database._connection is not None
    database._connection.set_trace_callback(statements.append)
    put(database, b"before")
    row = (b"k", "celery", b"payload", 1.0)
    assert database.write_for_good(ADOPT, [row])
    assert not database._waiting
    with sqlite3.connect(path) as other:
        assert other.execute("SELECT * FROM adopted").fetchall() == [row]
    other.close()
    words = [statement.split()[0] for statement in statements]
    full, normal = statements.index("PRAGMA synchronous=FULL"), statements.index("PRAGMA synchronous=NORMAL")
    assert words[full:normal] == ["PRAGMA", "BEGIN", "INSERT", "COMMIT"]


def test_what_cannot_be_written_for_good_is_refused_whole(
    database: Database, path: Path, loop: HandLoop
) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert not database.write_for_good(ADOPT, [(b"k", "celery", b"", 1.0)])
    assert database.problem == "database is locked"
    other.execute("ROLLBACK")
    other.close()
    loop.ring()
    assert database.problem is None
    assert not database.read("SELECT * FROM adopted")  # whoever asked has done without
    assert database.write_for_good(ADOPT, [(b"k", "celery", b"", 1.0)])
    assert database.read("PRAGMA synchronous") == [(1,)]


def test_what_met_a_damaged_file_is_not_written_for_good(
    database: Database, path: Path, loop: HandLoop
) -> None:
    assert database.write_for_good(ADOPT, [(b"first", "celery", b"x" * 40_000, 1.0)])
    database.read("PRAGMA wal_checkpoint(TRUNCATE)")
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 4096))
    database._hang_up()  # what it has in memory would hide the damage for a while
    assert not database.write_for_good(ADOPT, [(b"k", "celery", b"", 1.0)])
    assert list(path.parent.glob("*.corrupt-*"))
    assert database.write_for_good(ADOPT, [(b"k", "celery", b"", 1.0)])  # the next try, in a new file
    assert database.read("SELECT key FROM adopted") == [(b"k",)]
