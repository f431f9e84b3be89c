"""The beat itself: one thread that sleeps until a tick, sends it if the seat is its own, and remembers it.

It looks at the wall clock every two seconds at least: a clock that was put forward has made ticks late, and
one that was put back runs nothing twice.

Units:   Unix time, seconds.
Errors:  a broker that is away is told once and tried again; a call that cannot be sent is told and left out.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from workerd.beat import plan
from workerd.beat.calls import posting_of
from workerd.beat.record import Record, later
from workerd.beat.seat import Seat, open_seat
from workerd.beat.settings import BeatSettings
from workerd.beat.store import Store
from workerd.beat.wake import Wake
from workerd.clock import Clock, SystemClock
from workerd.errors import UnavailableError, WorkerdError

if TYPE_CHECKING:
    from workerd.app import App
    from workerd.schedules import Entry

logger = logging.getLogger("workerd.beat")

Tell = Callable[[Mapping[str, Any]], None]

AGAIN = 1.0
"""After an error, until the next try."""


class Service:
    """Sender of ``beat_init``.  ``run`` returns once ``wake`` has been asked to stop."""

    def __init__(
        self,
        app: App,
        settings: BeatSettings,
        wake: Wake,
        *,
        tell: Tell | None = None,
        clock: Clock | None = None,
        seat: Seat | None = None,
    ) -> None:
        self.app, self.settings, self._wake = app, settings, wake
        self.options: dict[str, Any] = {}
        """The app's own options of ``workerd beat``, by name."""
        self.leads = False
        """The seat is ours."""
        self.records: dict[str, Record] = {}
        self._clock, self._tell = clock or SystemClock(), tell
        self._seat = seat or open_seat(app, settings.cluster, settings.node, settings.lease)
        self._store = Store(settings.file)
        self._zone = app.beat_zone()
        self._away = ""  # why the broker is, while it is
        self._left_out: set[tuple[str, float]] = set()  # ticks that cannot be sent
        self._told: Mapping[str, Any] = {}

    def run(self) -> None:
        """Until a stop is asked for."""
        count = len(self.settings.entries)
        logger.info("Beat: %d periodic task%s of %s", count, "s" * (count != 1), self.settings.cluster)
        try:
            while not self._wake.asked:
                seconds = self.turn()
                self._wake.sleep(seconds, None if self._away else self._seat.fileno())
        finally:
            self._leave()

    def turn(self) -> float:
        """One look; seconds until the next one."""
        try:
            with self.app.broker.reaching():
                seconds = self._turn()
        except WorkerdError as exc:
            self._lost(exc)
            return AGAIN
        if self._away:
            logger.info("Beat: the broker is back")
            self._away = ""
        return seconds

    def _turn(self) -> float:
        if not self._seat.hold():
            self._follow()
            return self._seat.patience()
        if not self.leads or self._seat.fresh:
            self._lead()
        paused = self._seat.paused()
        ahead: list[tuple[float, str]] = []
        for name, entry in self.settings.entries.items():
            tick = self._look(entry, name in paused)
            if not self.leads:
                return 0.0
            if tick is not None:
                ahead.append((tick, name))
        ahead.sort()
        self._say(ahead[0] if ahead else None)
        longest = min(self.settings.sleep, self.settings.lease / 3.0)
        until = ahead[0][0] - self._clock.wall() if ahead else longest
        return max(0.0, min(until, longest))

    # -- one entry -------------------------------------------------------------------------------

    def _look(self, entry: Entry, paused: bool) -> float | None:
        """Do what is due; when the next tick is."""
        now = self._clock.wall()
        record = plan.begun(entry, self.records.get(entry.name), now)
        if record is not self.records.get(entry.name) and not self._keep(entry.name, record):
            return None
        found = plan.due(entry, record, now, self._zone, self.settings)
        if found is not None:
            if paused:
                done = Record(record.schedule, found.tick, record.total, record.sent)
                if not self._keep(entry.name, done):
                    return None
            elif not self._deal(entry, record, found, now):
                return None
        return plan.next_tick(entry, self.records[entry.name], self._zone)

    def _deal(self, entry: Entry, record: Record, found: plan.Due, now: float) -> bool:
        """Send the tick, or skip it; False when the seat is another's."""
        if plan.is_told(found, now, self.settings):
            logger.warning("Beat: %s", plan.told(entry, found, now))
        posting = None
        if found.send and (entry.name, found.tick) not in self._left_out:
            try:
                posting = posting_of(self.app, entry, self.settings.cluster, found.tick)
            except Exception as exc:  # noqa: BLE001 (of one entry; the others go on)
                logger.error("Beat: %s cannot be sent: %s: %s", entry.name, type(exc).__name__, exc)
        sent = posting is not None
        done = Record(record.schedule, found.tick, record.total + sent, now if sent else record.sent)
        try:
            with self.app.broker.reaching():
                if not self._keep(entry.name, done, posting):
                    return False
        except UnavailableError:
            raise
        except WorkerdError:
            self._left_out.add((entry.name, found.tick))
            raise
        self._left_out.discard((entry.name, found.tick))
        if posting is not None:
            logger.info("Beat: sent %s (%s[%s])", entry.name, entry.task, posting.parcel.correlation_id)
            self.app.publisher.tell([posting])
        return True

    def _keep(self, name: str, record: Record, posting: Any = None) -> bool:
        if not self._seat.put(name, record, posting):
            self._follow()
            return False
        self.records[name] = record
        self._store.save(name, record)
        return True

    # -- the seat --------------------------------------------------------------------------------

    def _lead(self) -> None:
        """It is ours: what others have done meanwhile counts."""
        state = self._seat.read()
        self.records = later(state.entries, self._store.load())
        if not self.leads:
            self.leads = True
            logger.info("Beat: this node sends the periodic tasks of %s", self.settings.cluster)

    def _follow(self) -> None:
        if self.leads:
            logger.warning("Beat: another node sends the periodic tasks now")
        self.leads = False
        self._say(None)

    def _lost(self, exc: WorkerdError) -> None:
        self._seat.close()
        self.leads = False
        level = logging.DEBUG if self._away else logging.ERROR
        logger.log(level, "Beat: no periodic task is sent, trying again: %s", exc)
        self._away = str(exc)
        self._say(None)

    def _leave(self) -> None:
        try:
            with self.app.broker.reaching():
                if not self._away:
                    self._seat.release()
        except WorkerdError as exc:
            logger.debug("Beat: the seat is left to its lease: %s", exc)
        self._seat.close()
        self._store.close()
        self.app.close()

    def _say(self, ahead: tuple[float, str] | None) -> None:
        """What ``status`` shows, when it has changed."""
        found = {
            "leads": self.leads,
            "entries": len(self.settings.entries),
            "next": round(ahead[0], 3) if ahead else None,
            "name": ahead[1] if ahead else None,
            "problem": self._away or None,
        }
        if found != self._told and self._tell is not None:
            self._tell(found)
        self._told = found
