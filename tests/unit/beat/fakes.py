"""A seat in memory, for beats whose clock is moved by hand."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.support.clock import FakeClock
from workerd import App
from workerd.app.sending.outlet.base import Posting
from workerd.beat import BeatSettings, Service
from workerd.beat.record import Record, State
from workerd.beat.wake import Wake
from workerd.schedules import entries_of


class FakeSeat:
    """Implements ``Seat``; several beats may share ``state``."""

    def __init__(self, state: State | None = None) -> None:
        self.fresh, self.ours, self.away = True, True, False
        self.state = state or State()
        self.sent: list[Posting] = []
        self.resting: set[str] = set()

    def hold(self) -> bool:
        if self.away:
            raise ConnectionError("gone")
        return self.ours

    def patience(self) -> float:
        return 1.0

    def fileno(self) -> int | None:
        return None

    def read(self) -> State:
        self.fresh = False
        return State(dict(self.state.entries))

    def put(self, name: str, record: Record, posting: Posting | None) -> bool:
        if self.away:
            raise ConnectionError("gone")
        if not self.ours:
            return False
        self.state.entries[name] = record
        if posting is not None:
            self.sent.append(posting)
        return True

    def paused(self) -> set[str]:
        return self.resting

    def pause(self, name: str, paused: bool) -> None:
        (self.resting.add if paused else self.resting.discard)(name)

    def release(self) -> None:
        self.ours = False

    def close(self) -> None:
        self.fresh = True

    def ids(self) -> list[str]:
        return [posting.parcel.correlation_id for posting in self.sent]


class Sleepless(Wake):
    """Never sleeps, and takes no signals."""

    def __init__(self) -> None:
        self.asked = False


class Beats:
    """A call makes a beat whose file is in ``tmp_path``; ``close`` closes the files of all."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self._files = ExitStack()

    def __call__(
        self, tmp_path: Path, seat: FakeSeat, schedule: Mapping[str, Any], **settings: Any
    ) -> Service:
        app = App("proj", broker="redis://127.0.0.1:1/0")
        app.task(name="t")(print)
        told = BeatSettings("proj", "main@here", tmp_path / "b", entries=entries_of(schedule), **settings)
        service = Service(app, told, Sleepless(), clock=self._clock, seat=seat)
        self._files.callback(service._store.close)
        return service

    def close(self) -> None:
        self._files.close()
