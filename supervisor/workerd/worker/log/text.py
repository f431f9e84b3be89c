"""Text for people: the field's line, with colours on a terminal and a priority for the journal."""

from __future__ import annotations

import logging
import time

from workerd.app.running.logs import FORMAT
from workerd.worker.log.harmless import harmless

COLOURS = {
    logging.DEBUG: "\x1b[34m",
    logging.WARNING: "\x1b[33m",
    logging.ERROR: "\x1b[31m",
    logging.CRITICAL: "\x1b[1;31m",
}
"""Blue, yellow, red, bold red; what is told at INFO has the terminal's own."""

PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))


def priority(level: int) -> str:
    """``<6>``: what the journal takes from the beginning of a line.  Source: sd-daemon(3)."""
    return f"<{next((number for least, number in PRIORITIES if level >= least), 7)}>"


class TextFormatter(logging.Formatter):
    """As logging's own, but a time is put into words once: its second, then its millisecond."""

    _second, _words = -1, ""
    _millisecond, _moment = -1, ""

    def __init__(self, *, coloured: bool = False, prefixed: bool = False) -> None:
        super().__init__(FORMAT)
        self.coloured, self.prefixed = coloured, prefixed
        self.lead = priority(logging.INFO) if prefixed else ""
        """What stands before a line that is told at INFO."""

    def format(self, record: logging.LogRecord) -> str:
        text = harmless(super().format(record))
        if self.prefixed:
            # The journal makes an entry of each line, and forgets the priority of the one before.
            lead = priority(record.levelno)
            return lead + text.replace("\n", f"\n{lead}")
        if self.coloured and (colour := COLOURS.get(record.levelno)):
            return f"{colour}{text}\x1b[0m"
        return text

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802 (logging's)
        return self.moment(record.created)

    def moment(self, created: float) -> str:
        """Seconds since the epoch in the field's form, with milliseconds."""
        millisecond = int(created * 1000)
        if millisecond != self._millisecond:
            self._millisecond = millisecond
            second, rest = divmod(millisecond, 1000)
            if second != self._second:
                self._second = second
                self._words = time.strftime(self.default_time_format, self.converter(second))
            self._moment = f"{self._words},{rest:03d}"
        return self._moment

    def dropped(self, count: int) -> str:
        """The line that tells of lines which nobody has taken."""
        return f"{self.lead}[{count} log lines were dropped while the log took none]"
