"""Intervals: every so many seconds, counted from tick to tick and not from run to run, so they do not drift.

Units:   seconds.
Errors:  ValueError for an interval that cannot be.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime, timedelta, tzinfo
from typing import Any

from workerd.schedules.base import MOST_COUNTED, BaseSchedule, Ticks


class schedule(BaseSchedule):  # noqa: N801 (the name that authors know)
    """Every ``run_every``, which is seconds or a timedelta.

    With ``relative`` ticks are on whole days, hours, minutes or seconds, whichever of them the interval is
    at least as long as.
    """

    def __init__(
        self,
        run_every: float | timedelta,
        relative: bool = False,
        nowfun: Callable[[], datetime] | None = None,
        app: Any = None,
    ) -> None:
        super().__init__(nowfun, app)
        if isinstance(run_every, (int, float)) and math.isfinite(run_every):
            run_every = timedelta(seconds=run_every)
        if not isinstance(run_every, timedelta) or run_every <= timedelta(0):
            raise ValueError(f"an interval must be more than 0 seconds, not {run_every!r}")
        self.run_every, self.relative = run_every, bool(relative)

    @property
    def seconds(self) -> float:
        """The interval."""
        return self.run_every.total_seconds()

    @property
    def human_seconds(self) -> str:
        """The interval for people."""
        for name, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
            if self.seconds >= size and self.seconds % size == 0:
                count = int(self.seconds // size)
                return f"{count} {name}{'s' * (count > 1)}"
        return f"{self.seconds:g} s"

    def after(self, moment: datetime, zone: tzinfo) -> datetime | None:
        tick = moment + self.run_every
        return self._rounded(tick.astimezone(zone)) if self.relative else tick

    def ticks(self, last: datetime, now: datetime, zone: tzinfo) -> Ticks | None:
        if self.relative:
            return super().ticks(last, now, zone)
        count = (now - last) // self.run_every
        if count < 1:
            return None
        return Ticks(last + self.run_every, last + count * self.run_every, min(count, MOST_COUNTED))

    def _latest(self, known: datetime, now: datetime, zone: tzinfo) -> datetime:
        # Rounded ones keep their phase by themselves; a short way before now is as good as all the way.
        return super()._latest(max(known, now - 2 * self.run_every), now, zone)

    def _rounded(self, tick: datetime) -> datetime:
        if self.seconds >= 86400:
            return tick.replace(hour=0, minute=0, second=0, microsecond=0)
        if self.seconds >= 3600:
            return tick.replace(minute=0, second=0, microsecond=0)
        if self.seconds >= 60:
            return tick.replace(second=0, microsecond=0)
        return tick.replace(microsecond=0) if self.seconds >= 1 else tick

    def __repr__(self) -> str:
        return f"every {self.human_seconds}{', rounded' * self.relative}"

    def __reduce__(self) -> Any:
        return type(self), (self.run_every, self.relative, self.nowfun)
