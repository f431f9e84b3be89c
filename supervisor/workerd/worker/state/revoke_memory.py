"""What StateDB keeps of revoked ids, and the logical clock beside them.

Units: Unix time.
"""

from __future__ import annotations

import json
from collections.abc import Collection

from workerd.clock import Clock
from workerd.worker.state.database import Database


class RevokeMemory:
    """Implements ``delivery.revokes.Memory``."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock

    def load(self) -> dict[str, float]:
        """Until when each id holds that still does, the oldest first."""
        self._database.write("DELETE FROM revoked WHERE until <= ?", self._clock.wall())
        return dict(self._database.read("SELECT id, until FROM revoked ORDER BY until"))

    def add(self, ids: Collection[str], until: float) -> None:
        """Committed when this returns, so that an answer to ``revoke`` is true also after a crash."""
        statement = "INSERT OR REPLACE INTO revoked SELECT value, ? FROM json_each(?)"
        self._database.write(statement, until, json.dumps(list(ids)))
        self._database.flush()

    def remove(self, ids: Collection[str]) -> None:
        statement = "DELETE FROM revoked WHERE id IN (SELECT value FROM json_each(?))"
        self._database.write(statement, json.dumps(list(ids)))

    def load_clock(self) -> int:
        """The logical clock when the daemon ended last; 0 if it has not."""
        rows = self._database.read("SELECT value FROM clock")
        return int(rows[0][0]) if rows else 0

    def save_clock(self, value: int) -> None:
        self._database.write("INSERT OR REPLACE INTO clock VALUES (0, ?)", value)
