"""The daemon's database: sqlite3 in its state directory, for what must outlive a supervisor.

Writes are collected and committed together in the next turn of the loop, without waiting for the disk
(WAL, synchronous=NORMAL): they outlive the process, and most of the time also the machine.  A disk that is
full is told once and tried again; meanwhile what was to be written is kept, up to a bound.

Errors:  PermissionDeniedError, and ConfigError for a database of a newer workerd, from ``open``; a file
         that is damaged is set aside and a new one begun.  What is raised later is a mistake in a statement.
"""

from __future__ import annotations

import errno
import logging
import os
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from workerd.errors import ConfigError, PermissionDeniedError
from workerd.transport.loop import Cancelable, Loop

logger = logging.getLogger(__name__)

MIGRATIONS = (
    """CREATE TABLE deaths (
        mark BLOB PRIMARY KEY, deaths INTEGER NOT NULL, supervisors INTEGER NOT NULL, seen REAL NOT NULL
    ) WITHOUT ROWID""",
    """CREATE TABLE adopted (
        key BLOB PRIMARY KEY, queue TEXT NOT NULL, payload BLOB NOT NULL, since REAL NOT NULL
    )""",
    "CREATE TABLE revoked (id TEXT PRIMARY KEY, until REAL NOT NULL) WITHOUT ROWID",
    "CREATE TABLE clock (one INTEGER PRIMARY KEY, value INTEGER NOT NULL)",
)
"""From each ``user_version`` to the next; what stands here is never changed, only added to."""

RETRY = 10.0
"""Seconds between two tries while the database cannot be written."""

MOST_WAITING = 10_000
BUSY = 0.1
"""Seconds to wait for somebody who looks into the file with a tool of their own."""

_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_FORBIDDEN = (sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_AUTH)
_PASSING = (
    *_FORBIDDEN,
    *(sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOMEM),
    *(sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL),
)
"""What the machine or its operator is the cause of; all else is a mistake in a statement."""

Row = tuple[Any, ...]


class Database:
    """``worker.statedb``; used from the loop alone."""

    def __init__(self, path: Path, loop: Loop) -> None:
        self.path, self._loop = path, loop
        self.problem: str | None = None
        """Why nothing can be written now; None while all is well."""
        self._connection: sqlite3.Connection | None = None
        self._waiting: deque[tuple[str, Sequence[Any]]] = deque(maxlen=MOST_WAITING)
        self._asked = self._closed = False
        self._retry: Cancelable | None = None

    def open(self) -> None:
        """Open, and bring the tables up to date; may be called again after a ``close``."""
        self._closed = False
        failure = self._attempt(self._connect)
        if failure is not None and _forbidden(failure):
            raise PermissionDeniedError(
                f"cannot open {self.path}: {failure}", "run as the user that owns it, or move it away"
            )
        self._told(failure)

    def read(self, query: str, *values: Any) -> list[Row]:
        """All rows, also those of writes that wait; none while the database cannot be used."""
        self.flush()
        rows: list[Row] = []
        if self._connection is not None:
            connection = self._connection
            self._told(self._attempt(lambda: rows.extend(connection.execute(query, values))))
        return rows

    def write(self, statement: str, *values: Any) -> None:
        """Carry out ``statement`` at the end of this turn of the loop, in one commit with all others."""
        if self._closed:
            return
        self._waiting.append((statement, values))
        if not self._asked and self._retry is None:
            self._asked = True
            self._loop.call_soon(self.flush)

    def write_for_good(self, statement: str, rows: Sequence[Sequence[Any]]) -> bool:
        """Carry out ``statement`` for each of ``rows`` and wait for the disk: after that, not even a loss of
        power undoes it.  False, and nothing is done, when it cannot be written now."""
        self.flush()
        if self._closed or self._waiting:
            return False  # nothing can be written, and that is told already
        written: list[bool] = []  # no failure is no proof: a damaged file may have been replaced
        self._told(self._attempt(lambda: written.append(self._commit_for_good(statement, rows))))
        return bool(written)

    def flush(self) -> None:
        """Commit what waits."""
        self._asked = False
        if self._waiting and not self._closed:
            self._told(self._attempt(self._commit))

    def close(self) -> None:
        """Commit and leave.  May be called twice."""
        self.flush()
        self._closed = True
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        self._hang_up()

    # -- the file ----------------------------------------------------------------------------------

    def _attempt(self, act: Callable[[], object]) -> Exception | None:
        """Do ``act``, with another file if this one is damaged; what made it fail is returned."""
        try:
            act()
        except (sqlite3.DatabaseError, OSError) as exc:
            self._hang_up()
            if _code(exc) in _DAMAGED:
                return self._begin_anew(exc)
            if isinstance(exc, OSError) or _code(exc) in _PASSING:
                return exc
            self._waiting.clear()
            raise
        return None

    def _begin_anew(self, damage: Exception) -> Exception | None:
        try:
            self._set_aside(damage)
            self._commit()
        except (sqlite3.DatabaseError, OSError) as exc:
            self._hang_up()
            return exc
        return None

    def _connect(self) -> None:
        # Before sqlite makes it, which would let others read.
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        self._connection = connection = sqlite3.connect(self.path, timeout=BUSY, isolation_level=None)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        [(found,)] = connection.execute("PRAGMA quick_check(1)")
        if found != "ok":
            raise _damage(found)
        [(version,)] = connection.execute("PRAGMA user_version")
        if version > len(MIGRATIONS):
            self._hang_up()
            raise ConfigError(
                f"{self.path} was written by a newer workerd (form {version}, not {len(MIGRATIONS)})",
                "start that version, or move the file away",
            )
        for number, migration in enumerate(MIGRATIONS[version:], version + 1):
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                connection.execute(migration)
                connection.execute(f"PRAGMA user_version={number}")

    def _commit(self) -> None:
        if self._connection is None:
            self._connect()
        assert self._connection is not None
        with self._connection as connection:
            connection.execute("BEGIN IMMEDIATE")
            for statement, values in self._waiting:
                connection.execute(statement, values)
        self._waiting.clear()

    def _commit_for_good(self, statement: str, rows: Sequence[Sequence[Any]]) -> bool:
        if self._connection is None:
            self._connect()
        assert self._connection is not None
        connection = self._connection
        connection.execute("PRAGMA synchronous=FULL")
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(statement, rows)
        connection.execute("PRAGMA synchronous=NORMAL")
        return True

    def _told(self, failure: Exception | None) -> None:
        """Tell a failure once, and its end."""
        if failure is None:
            if self.problem is not None:
                self.problem = None
                logger.info("%s can be written again", self.path)
            return
        if self.problem is None:
            logger.warning("%s cannot be written (%s): it is tried again until it can", self.path, failure)
        self.problem = str(failure)
        if self._retry is None and not self._closed:
            self._retry = self._loop.call_later(RETRY, self._try_again)

    def _try_again(self) -> None:
        self._retry = None
        self._told(self._attempt(self._commit))

    def _set_aside(self, exc: Exception) -> None:
        stamp = time.strftime("%Y%m%dT%H%M%S")
        place = self.path.with_name(f"{self.path.name}.corrupt-{stamp}")
        for suffix in ("", "-wal", "-shm"):
            part = self.path.with_name(self.path.name + suffix)
            if part.exists():
                part.rename(place.with_name(place.name + suffix))
        logger.warning("%s is damaged (%s): set aside as %s, and begun anew", self.path, exc, place.name)

    def _hang_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _forbidden(exc: Exception) -> bool:
    """True for what does not pass by itself, as a disk that is full may."""
    if isinstance(exc, OSError):
        return exc.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EIO)
    return _code(exc) in _FORBIDDEN


def _code(exc: Exception) -> int:
    """sqlite's primary error code, 0 for none."""
    return int(getattr(exc, "sqlite_errorcode", 0)) & 0xFF


def _damage(what: str) -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError(what)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error
