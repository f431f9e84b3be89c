"""A small event loop with real descriptors and real time, and a reaper for it.

It has what the daemon's Hub promises to parts that are tested without the daemon.
"""

from __future__ import annotations

import heapq
import itertools
import os
import queue
import selectors
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")
Callback = Callable[..., object]


class Timer:
    def __init__(self, callback: Callable[[], object]) -> None:
        self.callback, self.canceled = callback, False

    def cancel(self) -> None:
        self.canceled = True


class MiniLoop:
    """One callback per descriptor, as in the daemon."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._timers: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()
        self._jobs: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]]] = queue.SimpleQueue()

    def add_reader(self, fds: int, callback: Callback, *args: object) -> None:
        self._selector.register(fds, selectors.EVENT_READ, (callback, args))

    def add_writer(self, fds: int, callback: Callback, *args: object) -> None:
        self._selector.register(fds, selectors.EVENT_WRITE, (callback, args))

    def remove_reader(self, fd: int) -> None:
        self._selector.unregister(fd)

    def remove_writer(self, fd: int) -> None:
        self._selector.unregister(fd)

    def call_later(self, delay: float, callback: Callback, *args: object) -> Timer:
        timer = Timer(lambda: callback(*args))
        heapq.heappush(self._timers, (time.monotonic() + delay, next(self._order), timer))
        return timer

    def do(self, callback: Callable[[], T]) -> T:
        """Call in the thread that runs the loop, and wait for the result."""
        done: Future[T] = Future()
        self._jobs.put((callback, done))
        return done.result(20.0)

    @property
    def descriptors(self) -> int:
        return len(self._selector.get_map())

    def run_once(self, within: float = 0.01) -> None:
        for key, _ in self._selector.select(within):
            if key.fd in self._selector.get_map():
                callback, args = key.data
                callback(*args)
        while not self._jobs.empty():
            job, done = self._jobs.get()
            done.set_result(job())
        while self._timers and self._timers[0][0] <= time.monotonic():
            timer = heapq.heappop(self._timers)[2]
            if not timer.canceled:
                timer.callback()

    def run_until(self, stop: threading.Event) -> None:
        while not stop.is_set():
            self.run_once()

    def close(self) -> None:
        self._selector.close()


class MiniReaper:
    """Collects children by pidfd."""

    def __init__(self, loop: MiniLoop) -> None:
        self._loop = loop
        self._watched: dict[int, tuple[int, Callable[[int], None]]] = {}

    def watch(self, pid: int, callback: Callable[[int], None]) -> None:
        handle = os.pidfd_open(pid)
        self._watched[pid] = (handle, callback)
        self._loop.add_reader(handle, self._ended, pid)

    def reap(self) -> None:
        for pid in list(self._watched):
            self._ended(pid)

    def _ended(self, pid: int) -> Any:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            handle, callback = self._watched.pop(pid)
            self._loop.remove_reader(handle)
            os.close(handle)
            callback(status)
