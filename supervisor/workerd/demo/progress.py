"""A progress bar on a terminal, a line for each tenth elsewhere."""

from __future__ import annotations

import sys
from typing import TextIO

_WIDTH = 40


class Progress:
    """Counts to ``total`` on ``out``."""

    def __init__(self, total: int, out: TextIO | None = None) -> None:
        self.total, self.done = total, 0
        self._out = out or sys.stdout
        self._tty = self._out.isatty()
        self._shown = 0

    def step(self) -> None:
        self.done += 1
        parts = _WIDTH * 4 if self._tty else 10
        if (reached := self.done * parts // self.total) > self._shown:
            self._shown = reached
            self._show()

    def end(self) -> None:
        """Leave the bar's line, also when the count was not reached."""
        if self._tty and self.done:
            print(file=self._out)

    def _show(self) -> None:
        if self._tty:
            full = self.done * _WIDTH // self.total
            bar = "#" * full + "-" * (_WIDTH - full)
            print(f"\r[{bar}] {self.done}/{self.total}", end="", file=self._out, flush=True)
        else:
            print(f"{self.done} of {self.total} files", file=self._out, flush=True)
