"""A hub that a test turns by hand."""

from __future__ import annotations

from collections.abc import Callable

from tests.support.eventually import T, eventually
from workerd.worker.loop.hub import Hub


class Turned:
    """What one node does of itself, only while the test waits for something."""

    def __init__(self) -> None:
        self.hub = Hub()

    def until(self, fact: Callable[[], T]) -> T:
        def turned() -> T:
            alarm = self.hub.call_later(0.01, int)
            self.hub.turn()
            alarm.cancel()
            return fact()

        return eventually(turned)

    def dispose(self) -> None:
        """Nothing may be left in it."""
        self.until(lambda: True)
        assert (self.hub.readers, self.hub.writers, self.hub.timer.wait()) == ({}, {}, None)
        self.hub.dispose()
