"""Results in one SQLite file: sqlite:///path/to/results.db."""

import sqlite3
import time
from contextlib import closing

from workerd.backends import KeyValueBackend


class SqliteBackend(KeyValueBackend):
    """Opens the file for each call, so it can be used by any thread and in a forked process."""

    def get(self, key):
        with closing(self._open()) as db:
            row = db.execute(
                "SELECT data FROM kept WHERE key = ? AND ends > ?", (key, time.time())
            ).fetchone()
        return row[0] if row else None

    def set(self, key, data, lifetime):
        ends = time.time() + lifetime if lifetime else 1e12
        with closing(self._open()) as db, db:
            db.execute("REPLACE INTO kept VALUES (?, ?, ?)", (key, data, ends))

    def delete(self, key):
        with closing(self._open()) as db, db:
            db.execute("DELETE FROM kept WHERE key = ?", (key,))

    def clean_up(self):
        with closing(self._open()) as db, db:
            db.execute("DELETE FROM kept WHERE ends < ?", (time.time(),))

    def _open(self):
        db = sqlite3.connect(self.url.removeprefix("sqlite://"), timeout=5)
        db.execute("CREATE TABLE IF NOT EXISTS kept (key TEXT PRIMARY KEY, data BLOB, ends REAL)")
        return db
