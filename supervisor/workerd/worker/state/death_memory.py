"""What StateDB keeps for ``delivery.deaths``: counts in the database, what runs now in a file beside it.

Units: Unix time.
"""

from __future__ import annotations

import logging

from workerd.clock import Clock
from workerd.delivery.deaths import Tally
from workerd.worker.state.database import Database
from workerd.worker.state.run_file import RunFile

logger = logging.getLogger(__name__)

KEPT = 7 * 86400.0
"""After so many seconds without a further death a count is forgotten: its message ended on another node."""


class DeathMemory:
    """Implements ``delivery.deaths.Memory``."""

    def __init__(self, database: Database, runs: RunFile, clock: Clock) -> None:
        self.database, self.runs, self.clock = database, runs, clock
        # Bound once: they come with every run.
        self.began, self.ended, self.save = runs.note, runs.strike, runs.write

    def load(self) -> dict[bytes, Tally]:
        """The counts of earlier supervisors, with one more for all that ran when the last one died.

        Errors: PermissionDeniedError.
        """
        self.database.write("DELETE FROM deaths WHERE seen < ?", self.clock.wall() - KEPT)
        rows = self.database.read("SELECT mark, deaths, supervisors FROM deaths")
        tallies = {bytes(mark): Tally(deaths, supervisors) for mark, deaths, supervisors in rows}
        found = self.runs.open()
        for mark, (deaths, supervisors) in found:
            # A count that is written is no smaller; reading the file twice counts once.
            known = tallies.get(mark, Tally(0))
            tallies[mark] = Tally(max(deaths + 1, known.deaths), max(supervisors + 1, known.supervisors))
            self.keep(mark, tallies[mark])
        self.database.flush()
        self.runs.clear()
        if found:
            logger.warning(
                "The last supervisor died while it ran %d tasks: a death is counted for each", len(found)
            )
        return tallies

    def calm(self) -> None:
        self.runs.clear()

    def keep(self, mark: bytes, tally: Tally) -> None:
        self.database.write(
            "INSERT OR REPLACE INTO deaths (mark, deaths, supervisors, seen) VALUES (?, ?, ?, ?)",
            mark,
            *tally,
            self.clock.wall(),
        )

    def forget(self, mark: bytes) -> None:
        self.database.write("DELETE FROM deaths WHERE mark = ?", mark)

    def close(self) -> None:
        """This supervisor ends as it should."""
        self.runs.close()
