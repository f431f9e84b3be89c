"""A clock that stands still until a test moves it."""

from __future__ import annotations


class FakeClock:
    """Satisfies ``workerd.clock.Clock``.  Units: seconds."""

    def __init__(self, now: float = 1000.0, wall: float = 1_700_000_000.0) -> None:
        self._now, self._wall, self._suspended = now, wall, 0.0

    def now(self) -> float:
        return self._now

    def wall(self) -> float:
        return self._wall

    def boottime(self) -> float:
        return self._now + self._suspended

    def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass on both clocks."""
        self._now += seconds
        self._wall += seconds

    def jump(self, seconds: float) -> None:
        """Somebody puts the wall clock by so much."""
        self._wall += seconds

    def suspend(self, seconds: float) -> None:
        """The machine sleeps for so long."""
        self._suspended += seconds
        self._wall += seconds
