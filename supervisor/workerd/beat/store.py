"""What a beat remembers on this machine: sqlite in the daemon's state directory, or where the app says.

The broker's memory goes first, for it is that of all nodes; this one is for a broker that has lost it.
A file that cannot be used is told once and done without.

Units:   Unix time.
"""

from __future__ import annotations

import logging
import sqlite3
from pathlib import Path

from workerd.beat.record import Record

logger = logging.getLogger(__name__)

_TABLE = """CREATE TABLE IF NOT EXISTS entries (
    name TEXT PRIMARY KEY, schedule TEXT NOT NULL, last REAL NOT NULL, total INTEGER NOT NULL, sent REAL
) WITHOUT ROWID"""
BUSY = 1.0
"""Seconds to wait for another beat of the same name."""


class Store:
    """One file; ``load`` and ``save`` raise nothing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection: sqlite3.Connection | None = None
        self._told = False

    def load(self) -> dict[str, Record]:
        """Every entry that was ever saved."""
        try:
            rows = self._opened().execute("SELECT name, schedule, last, total, sent FROM entries")
            return {name: Record(*rest) for name, *rest in rows}
        except (sqlite3.Error, OSError) as exc:
            self._failed(exc)
            return {}

    def save(self, name: str, record: Record) -> None:
        """Remember ``record`` as soon as the disk takes it."""
        row = (name, record.schedule, record.last, record.total, record.sent)
        try:
            with self._opened() as connection:
                connection.execute("REPLACE INTO entries VALUES (?, ?, ?, ?, ?)", row)
        except (sqlite3.Error, OSError) as exc:
            self._failed(exc)

    def close(self) -> None:
        """May be called twice."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            self.path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
            # Ours before it is tried: what cannot be used is closed, too.
            self._connection = connection = sqlite3.connect(self.path, timeout=BUSY)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.execute(_TABLE)
        return self._connection

    def _failed(self, exc: Exception) -> None:
        if not self._told:
            self._told = True
            logger.warning(
                "%s cannot be used (%s): the last ticks are kept by the broker alone", self.path, exc
            )
        self.close()
