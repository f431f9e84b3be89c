"""The only wait of the tests: for a fact, never for time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(fact: Callable[[], T], within: float = 20.0, every: float = 0.02) -> T:
    """Return the first true value of ``fact()``, asked ``every`` so many seconds.

    Raises AssertionError with the last value when ``within`` seconds have passed.  What ``fact``
    raises goes up at once, save an AssertionError, which counts as "not yet".
    """
    deadline = time.monotonic() + within
    while True:
        last: object
        try:
            value = fact()
            if value:
                return value
            last = value
        except AssertionError as exc:
            last = exc.with_traceback(None)  # else a cycle of frames keeps alive what fact saw
        if time.monotonic() >= deadline:
            name = getattr(fact, "__qualname__", repr(fact))
            raise AssertionError(f"{name} was not true within {within:g} s; the last value was {last!r}")
        time.sleep(every)
