"""Turn many requests for the same piece of work into one, and rest after it for as long as it cost.

kombu restores messages of dead workers in a transaction that WATCHes the in-flight store: a node that
touched it in every turn of its loop would never let such a transaction through.
"""

from __future__ import annotations

from collections.abc import Callable

from workerd.clock import Clock
from workerd.transport.loop import Cancelable, Loop


class Pacer:
    """Calls ``work`` in the next turn when it has rested, else as soon as it has.

    ``work`` returns how many times it has touched the store; it rests ``gap`` seconds for each.
    """

    def __init__(self, loop: Loop, clock: Clock, gap: float, work: Callable[[], int]) -> None:
        self._loop, self._clock, self._gap, self._work = loop, clock, gap, work
        self.asked = False
        """A piece of work is due."""
        self._closed = self._working = False
        self._next = clock.now()
        self._timer: Cancelable | None = None

    def ask(self) -> None:
        if self.asked or self._closed:
            return
        self.asked = True
        rest = self._next - self._clock.now()
        if rest <= 0:
            self._loop.call_soon(self._fire)
        else:
            self._timer = self._loop.call_later(rest, self._fire)

    def ask_at_once(self) -> None:
        """As ``ask``, but what has rested works before this returns."""
        if not (self.asked or self._closed or self._working) and self._next <= self._clock.now():
            self._fire()
        else:
            self.ask()

    def close(self) -> None:
        """Call no more."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()

    def _fire(self) -> None:
        self.asked, self._timer = False, None
        if not self._closed:
            began = self._clock.now()
            self._next = began + self._gap  # for who asks from inside the work
            self._working = True
            try:
                self._next = began + self._gap * self._work()
            finally:
                self._working = False
