"""``cron``: a line as crontab(5) has it, read by cronsim with all that it knows (``L``, ``5#2``, names).

Unlike ``crontab`` it takes a day that fits either of the two fields for days, when both say something.
Where clocks are put it does as Debian's cron: see cronsim.

Errors:  ValueError from the constructor.
"""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from typing import Any

from cronsim import CronSim, CronSimError

from workerd.schedules.base import BaseSchedule


class cron(BaseSchedule):  # noqa: N801 (beside crontab)
    """At the minutes that ``line`` means: minute, hour, day of month, month, day of week."""

    def __init__(self, line: str, app: Any = None) -> None:
        super().__init__(app=app)
        self.line = " ".join(line.split())
        try:
            CronSim(self.line, datetime.now(UTC))
        except CronSimError as exc:
            raise ValueError(
                f"{line!r} is no line of a crontab ({exc}): write five fields, such as '*/5 * * * *'"
            ) from None

    def after(self, moment: datetime, zone: tzinfo) -> datetime | None:
        start = moment.astimezone(zone)
        for tick in CronSim(self.line, start):
            # cronsim counts in wall time: in the hour that comes twice a tick may be one that was.
            if tick.astimezone(UTC) > moment:
                return tick.astimezone(UTC)
        return None

    def __repr__(self) -> str:
        return f"cron {self.line}"

    def __reduce__(self) -> Any:
        return type(self), (self.line,)
