"""What one beat is told: its entries, and how it keeps to them.

Units:   seconds.
Errors:  ConfigError for entries that cannot be.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workerd.config.periodic import entries_of_rows
from workerd.errors import ConfigError
from workerd.paths import state_dir
from workerd.schedules import Entry, Missed, entries_of

if TYPE_CHECKING:
    from workerd.app import App

FILE = "beat.sqlite3"

LONGEST_SLEEP = 2.0
"""Between two looks: a leader that has died is noticed so late, and so is a clock that was put."""


@dataclass(frozen=True)
class BeatSettings:
    """Frozen at start; a reload begins another beat."""

    cluster: str
    """What the beats of which only one is active have in common."""
    node: str
    """Who this one is."""
    file: Path
    """Where it remembers, beside the broker."""
    lease: float = 10.0
    missed: Missed = "run-once"
    starting_deadline: float | None = None
    """How old a missed tick of a crontab may be and still run; None for any age."""
    sleep: float = LONGEST_SLEEP
    entries: Mapping[str, Entry] = field(default_factory=dict)

    @property
    def patience(self) -> float:
        """A tick that is no later than this is not missed: it waited for the next leader, at most."""
        return self.lease + 5.0


def settings_of(
    app: App,
    where: str,
    name: str,
    node: str,
    *,
    lease: float,
    missed: Missed,
    rows: Mapping[str, Any],
) -> BeatSettings:
    """Those of ``app``, which is at ``where``, in the daemon ``name``; ``rows`` are entries of its file."""
    conf = app.conf
    try:
        entries = {**entries_of(conf.beat_schedule), **entries_of_rows(rows)}
    except (ValueError, TypeError) as exc:
        raise ConfigError(f"the schedule cannot be read: {exc}", "mend beat_schedule") from exc
    return BeatSettings(
        cluster=cluster_of(app, where),
        node=node,
        file=Path(conf.beat_schedule_filename or state_dir(name) / FILE),
        lease=lease,
        missed=missed,
        starting_deadline=conf.beat_cron_starting_deadline,
        sleep=min(conf.beat_max_loop_interval or LONGEST_SLEEP, LONGEST_SLEEP),
        entries=entries,
    )


def cluster_of(app: App, where: str) -> str:
    """The app's own name, else that of the package or module which it is in."""
    if app.main and app.main != "__main__":
        return app.main
    return where.partition(":")[0].partition(".")[0] or "app"
