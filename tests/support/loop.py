"""A selectors loop for the pool library: all of its ``Loop`` and not one line more."""

from __future__ import annotations

import heapq
import itertools
import selectors
import time
from collections import deque
from collections.abc import Callable

from tests.support.eventually import T, eventually

Callback = Callable[..., object]


class Timer:
    """One call that is due at ``when``."""

    def __init__(self, when: float, callback: Callback, args: tuple[object, ...]) -> None:
        self.when, self._callback, self._args = when, callback, args
        self._canceled = False

    def cancel(self) -> None:
        self._canceled = True

    def fire(self) -> None:
        if not self._canceled:
            self._callback(*self._args)


class SelectorLoop:
    """Readers, timers, soon."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._timers: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()
        self._soon: deque[Timer] = deque()

    def add_reader(self, fds: int, callback: Callback, *args: object) -> None:
        self._selector.register(fds, selectors.EVENT_READ, (callback, args))

    def remove_reader(self, fd: int) -> None:
        self._selector.unregister(fd)

    def call_later(self, delay: float, callback: Callback, *args: object) -> Timer:
        timer = Timer(time.monotonic() + delay, callback, args)
        heapq.heappush(self._timers, (timer.when, next(self._order), timer))
        return timer

    def call_soon(self, callback: Callback, *args: object) -> Timer:
        timer = Timer(0.0, callback, args)
        self._soon.append(timer)
        return timer

    def run_once(self, within: float = 0.05) -> None:
        """One turn: wait at most ``within`` seconds for something to happen."""
        for _ in range(len(self._soon)):
            self._soon.popleft().fire()
        if self._soon:
            within = 0.0
        elif self._timers:
            within = min(within, max(0.0, self._timers[0][0] - time.monotonic()))
        for key, _ in self._selector.select(within):
            # A callback of this turn may have removed it.
            if self._selector.get_map().get(key.fd) is key:
                callback, args = key.data
                callback(*args)
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            heapq.heappop(self._timers)[2].fire()

    def until(self, fact: Callable[[], T], within: float = 20.0) -> T:
        """Run until ``fact()`` is true and return it; AssertionError after ``within`` seconds."""

        def turn() -> T:
            if value := fact():
                return value
            self.run_once()
            return fact()

        return eventually(turn, within, every=0.0)

    @property
    def descriptors(self) -> int:
        """How many descriptors are watched."""
        return len(self._selector.get_map())

    def close(self) -> None:
        self._selector.close()
