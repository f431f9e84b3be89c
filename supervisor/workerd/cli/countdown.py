"""What a stop or a restart waits for, and how long it still does, while it goes on.

On a terminal it is one line that is written anew with each fact, elsewhere (a log, a pipe) a plain line at
each change of the daemon's state and every few seconds.

Units: seconds.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import click

EVERY = 5.0
"""Between two plain lines of the same state."""

_REWRITE = "\r\x1b[2K"  # to the first column, and nothing on the line (ECMA-48: EL 2)


class Countdown:
    """``tell`` it each fact, and ``end`` it before anything else is printed."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._rewrites = sys.stdout.isatty()
        self._open = False  # the cursor stands behind a line that may be written anew
        self._state, self._told_at = "", float("-inf")

    def tell(self, fact: Mapping[str, Any]) -> None:
        """Show what this fact says, if anything."""
        if not (parts := sentence(fact)):
            return
        text, left = parts
        if self._rewrites and "waiting_for" in fact:
            width = shutil.get_terminal_size().columns - 1
            click.echo(_REWRITE + shortened(text, width - len(left)) + left, nl=False)
            sys.stdout.flush()
            self._open = True
            return
        now, state = self._clock(), str(fact["event"])
        if state != self._state or now - self._told_at >= EVERY:
            self._state, self._told_at = state, now
            self.end()
            click.echo(text + left)

    def end(self) -> None:
        """Leave the line as it is; what comes next begins another.  May be called twice."""
        if self._open:
            self._open = False
            click.echo()


def sentence(fact: Mapping[str, Any]) -> tuple[str, str] | None:
    """What a fact says to the operator: who is waited for, and how long."""
    if "waiting_for" in fact:
        waiting = fact["waiting_for"]
        if not waiting and not fact.get("unsettled"):
            return None
        names = f"waiting for {', '.join(waiting)}" if waiting else "settling the last results"
        left = fact.get("seconds_left")
        return f"{fact['event']}: {names}", f" ({left:.0f} s left)" if left is not None else ""
    if fact["event"] == "stopping":
        return f"stopping pid {fact['pid']}", ""
    return None


def shortened(text: str, width: int) -> str:
    """Its beginning, so that it fits into ``width`` columns."""
    return text if len(text) <= width else text[: max(width - 1, 0)] + "…"
